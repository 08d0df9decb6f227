"""Keep the report of the last audit of a prefix, and reuse it until something it read has changed.

The key is one digest of the name, inode, mode, size, times and link count of every path of the prefix, and the same of
each path outside that the audit read (`bridge.fs.unchanged`). Reports are in bridge's cache: an audit writes nothing
to the prefix.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from bridge.audit.finding import Finding, Report
from bridge.audit.look.tree import Tree, read_tree, signature_of
from bridge.errors import BridgeError, FaultError
from bridge.fs import publish_file, read_regular
from bridge.fs.unchanged import cache_name, identity_of, is_settled

__all__ = ["ReportCache"]

_FORMAT = 2
_MAX_SIZE = 64 << 20  # bytes of a report that is kept


class ReportCache:
    """The cached report of one prefix.

    :param directory: where reports are kept: a directory of the cache.
    :param context: everything else that the findings depend on: versions, target, settings, environment variables.
    `tree` is what `look` read; `None`: it was not called, or failed.
    """

    def __init__(self, directory: Path, prefix: Path, context: str) -> None:
        self._path = directory / f"{cache_name(prefix)}.json"
        self._root = directory.parent
        self._prefix = prefix
        self._context = hashlib.sha256(context.encode("utf-8", "surrogateescape")).hexdigest()
        self._started = time.time_ns()
        self.tree: Tree | None = None

    def recall(self, meanwhile: Callable[[], object] | None = None) -> Report | None:
        """The cached report, if it is still valid; otherwise `look`.

        :param meanwhile: called by `look` while other processes read.
        """
        report = self._recalled()
        if report is None:
            self.look(meanwhile)
        return report

    def look(self, meanwhile: Callable[[], object] | None = None) -> None:
        """Read the paths of the prefix, for an audit whose report will be kept."""
        with suppress(FaultError):  # The audit reads them again and reports the error.
            self.tree = read_tree(os.path.abspath(self._prefix), meanwhile=meanwhile)

    def prepare(self) -> None:
        """Compute what `keep` needs of the tree, while other processes read files."""
        if self.tree is not None and is_settled(self.tree.newest, self._started):
            self.tree.signature  # noqa: B018 - a cached property

    def _recalled(self) -> Report | None:
        kept = self._read()
        if kept is None or kept.get("context") != self._context:
            return None
        try:
            if kept.get("signature") != signature_of(os.path.abspath(self._prefix)):
                return None
        except FaultError:
            return None
        outside = kept.get("outside")
        if not isinstance(outside, dict) or any(_of_outside(path) != was for path, was in outside.items()):
            return None
        try:
            return _report(kept["report"], self._prefix)  # type: ignore[arg-type]
        except (LookupError, TypeError, ValueError, AttributeError):
            return None

    def keep(self, report: Report, outside: Iterable[str]) -> None:
        """Keep a report made after `look`, with the paths outside that it depends on. Errors are ignored."""
        if self.tree is None or not is_settled(self.tree.newest, self._started):
            return
        watched = {path: _of_outside(path) for path in sorted(set(outside))}
        if any(was and not is_settled(was[4], self._started) for was in watched.values()):
            return
        document = {
            "format": _FORMAT,
            "signature": self.tree.signature,
            "context": self._context,
            "outside": watched,
            "report": {**report.to_json(), "unowned": report.unowned},
        }
        data = json.dumps(document, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if len(data) > _MAX_SIZE:
            return
        try:
            publish_file(self._path, [data], root=self._root)
        except BridgeError:  # Without a cache the next audit is only slower.
            return

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
