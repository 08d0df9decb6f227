"""Keep the report of the last audit of a prefix, and reuse it until something it read has changed.

The key is one digest of the name, inode, mode, size, times and link count of every path of the prefix, and the same of
each path outside that the audit read (`bridge.fs.unchanged`). Reports are in bridge's cache: an audit writes nothing
to the prefix.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from bridge.audit.finding import Finding, Report
from bridge.audit.look.listed import file_name, keeps_times, packed
from bridge.audit.look.tree import Walk
from bridge.errors import BridgeError
from bridge.fs import publish_file, read_regular
from bridge.fs.digests import sha256_hex
from bridge.fs.unchanged import cache_name, identity_of, is_settled

__all__ = ["ReportCache"]

_FORMAT = 2
_MAX_SIZE = 64 << 20  # bytes of a report that is kept


class ReportCache:
    """The cached report of one prefix.

    :param directory: where reports are kept: a directory of the cache.
    :param context: everything else that the findings depend on: versions, target, settings, environment variables.
    :param walk: reads the paths of the prefix.
    """

    def __init__(self, directory: Path, prefix: Path, context: str, walk: Walk) -> None:
        self._path = directory / f"{cache_name(prefix)}.json"
        self._root = directory.parent
        self._prefix = prefix
        self._context = sha256_hex(context.encode("utf-8", "surrogateescape"))
        self._walk = walk

    def prepare(self) -> None:
        """Compute what `keep` needs of the tree, while other processes read files."""
        if self._is_settled:
            self._walk.signature  # noqa: B018 - a cached property

    @property
    def _is_settled(self) -> bool:
        return is_settled(self._walk.tree.newest, self._walk.started)

    def recall(self) -> Report | None:
        """The cached report, if it is still valid. Raises `FaultError` (`prefix-unreadable`)."""
        kept = self._read()
        if kept is None or kept.get("context") != self._context:
            return None
        if kept.get("signature") != self._walk.signature:
            return None
        outside = kept.get("outside")
        if not isinstance(outside, dict) or any(_of_outside(path) != was for path, was in outside.items()):
            return None
        try:
            return _report(kept["report"], self._prefix)  # type: ignore[arg-type]
        except (LookupError, TypeError, ValueError, AttributeError):
            return None

    def keep(self, report: Report, outside: Iterable[str]) -> None:
        """Keep a report, with the paths outside that it depends on. Errors are ignored."""
        if not self._is_settled:
            return
        watched = {path: _of_outside(path) for path in sorted(set(outside))}
        if any(was and not is_settled(was[4], self._walk.started) for was in watched.values()):
            return
        document = {
            "format": _FORMAT,
            "signature": self._walk.signature,
            "context": self._context,
            "outside": watched,
            "report": {**report.to_json(), "unowned": report.unowned},
        }
        data = json.dumps(document, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if len(data) > _MAX_SIZE:
            return
        with suppress(BridgeError):  # Without a cache the next audit is only slower.
            publish_file(self._path, [data], root=self._root)
            self._keep_names()

    def _keep_names(self) -> None:
        prefix = str(self._prefix)
        with suppress(OSError):
            if keeps_times(prefix):
                names = packed(self._walk.tree.listed(), prefix, lambda time: is_settled(time, self._walk.started))
                publish_file(self._path.with_name(file_name(prefix)), [names], root=self._root)

    def _read(self) -> Mapping[str, object] | None:
        try:
            document = json.loads(read_regular(self._path, root=self._root, limit=_MAX_SIZE))
        except (OSError, ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) and document.get("format") == _FORMAT else None


def _of_outside(path: str) -> list[int] | None:
    try:
        return [*identity_of(path)]
    except (OSError, ValueError):
        return None


def _report(document: Mapping[str, object], prefix: Path) -> Report:
    summary, findings = document["summary"], document["findings"]
    if not isinstance(summary, dict) or not isinstance(findings, list):
        raise TypeError("not a report")
    return Report(
        prefix=prefix,
        packages=summary["packages"],
        files=summary["files"],
        unowned=int(document["unowned"]),  # type: ignore[call-overload]
        findings=tuple(Finding(**{**each, "repair": tuple(each["repair"])}) for each in findings),
    )
