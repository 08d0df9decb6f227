"""Remember that a request or a lock changes nothing in an environment, so that it is not solved or read again.

A change keeps what is installed wherever that meets the requests. So the answer "nothing to do" holds as long as the
request, the settings, the machine and the records of the environment are the same, whatever channels and indexes have
meanwhile; and for a lock as long as its text is the same. Warnings may come from there (a project was quarantined): an
answer with warnings is not remembered, and one without them for a day. Where anything else counts, such as a file that
the settings only name, nothing is remembered.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import packaging

from bridge import __version__
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.fs import publish_file, read_content, read_regular
from bridge.fs.digests import sha256_hex
from bridge.fs.unchanged import cache_name, is_settled
from bridge.install.applied import AppliedPlan
from bridge.model import Plan
from bridge.paths import META
from bridge.prefix.signature import signature_of_records
from bridge.transaction.waiting import TRANSACTIONS
from converters.target import Target

__all__ = ["Settled", "digest_of"]

_FORMAT = 1
_DIRECTORY = "settled"  # of the cache
_LASTS = 24 * 3600  # seconds
_MOST = 32  # requests of one environment
_MAX_SIZE = 1 << 20  # bytes
_MAX_LOCK = 32 << 20
# Settings of the output, and fields that follow from others or have no value.
_LEFT_OUT = frozenset({"json", "quiet", "verbose", "traces", "progress", "color", "yes", "bind", "lock_timeout"})


class Settled:
    """The remembered answers for one environment.

    :param prefix: the environment. `command`: what is done to it.
    :param decisive: what else decides: requests, texts, options.
    """

    def __init__(self, settings: Settings, prefix: Path, command: str, *decisive: object) -> None:
        self._root = settings.cache_dir
        self._path = self._root / _DIRECTORY / f"{cache_name(prefix)}.json"
        self._prefix = prefix
        self._started = time.time()
        self._state: tuple[str, int] | None = None
        self._key = _key(settings, prefix, command, decisive)
        if self._key is not None and not _is_interrupted(prefix):
            with suppress(BridgeError):  # The command reports it.
                self._state = signature_of_records(prefix)

    def recall(self) -> AppliedPlan | None:
        """What the command does, if it is known that this is nothing."""
        if self._key is None or self._state is None:
            return None
        kept = self._kept().get(self._key)
        if not isinstance(kept, list) or len(kept) != 2:
            return None
        moment, platform = kept
        if not isinstance(moment, float) or not isinstance(platform, str) or not 0 <= self._started - moment <= _LASTS:
            return None
        return AppliedPlan(plan=Plan(prefix=self._prefix, target=Target(subdir=platform)))

    def keep(self, applied: AppliedPlan) -> None:
        """Keep the answer of a command without warnings, if nothing was to be done. Errors are ignored."""
        if self._key is None or self._state is None or not applied.plan.is_empty or applied.besides:
            return
        signature, newest = self._state
        if not is_settled(newest, int(self._started * 1e9)):
            return
        requests = {**self._kept(), self._key: [self._started, applied.plan.target.subdir]}
        document = {"format": _FORMAT, "state": signature, "requests": dict(list(requests.items())[-_MOST:])}
        with suppress(BridgeError):
            publish_file(self._path, [json.dumps(document).encode()], root=self._root)

    def _kept(self) -> Mapping[str, object]:
        """What is remembered of the environment as it is now, by request."""
        try:
            document = json.loads(read_regular(self._path, root=self._root, limit=_MAX_SIZE))
        except (OSError, ValueError, RecursionError):
            return {}
        is_ours = isinstance(document, dict) and document.get("format") == _FORMAT
        requests = document.get("requests") if is_ours and self._state and document["state"] == self._state[0] else None
        return requests if isinstance(requests, dict) else {}


def digest_of(lock: Path) -> str | None:
    """A digest of a lock's text and place; `None`: it is no file that can be read."""
    try:
        data = read_content(lock, limit=_MAX_LOCK)
    except OSError:
        return None
    return f"{os.path.realpath(lock)} {sha256_hex(data)}"


def _is_interrupted(prefix: Path) -> bool:
    """Whether a transaction is under way, or left something to settle."""
    try:
        return bool(os.listdir(prefix / TRANSACTIONS))
    except FileNotFoundError:
        return not (prefix / META).is_dir()
    except OSError:
        return True


def _key(settings: Settings, prefix: Path, command: str, decisive: Sequence[object]) -> str | None:
    """A digest of all that decides beside the records; `None` if it cannot be told."""
    if settings.policy is not None:
        return None
    try:
        files = [_content(Path(path)) for path in settings.constraints]
        files += [_content(Path(settings.name_map))] if settings.name_map is not None else []
        text = _text(
            (
                __version__,
                packaging.__version__,
                command,
                os.path.realpath(prefix),
                _machine(),
                files,
                settings,
                decisive,
            )
        )
    except (OSError, TypeError):
        return None
    return sha256_hex(text.encode("utf-8", "surrogateescape"))


def _content(path: Path) -> str:
    """A file that the settings name. Raises `OSError`, and `TypeError` if it may name others (`-c FILE`)."""
    text = read_content(path, limit=_MAX_SIZE).decode("utf-8", "surrogateescape")
    if any(line.lstrip().startswith("-") for line in text.splitlines()):
        raise TypeError(f"{path} may name other files")
    return text


def _machine() -> list[str]:
    """What the virtual packages of this machine follow from."""
    overrides = (f"{name}={value}" for name, value in os.environ.items() if name.startswith("CONDA_OVERRIDE_"))
    system = (os.name, *os.uname()) if hasattr(os, "uname") else (os.name,)
    library = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}) else None
    return [*system, library or "", *sorted(overrides)]


def _text(value: object) -> str:
    """A value in one form, whatever the order of sets. Raises `TypeError` for what has no such form."""
    if value is None or isinstance(value, (str, int, float, Path)):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_text(key)}:{_text(each)}' for key, each in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, frozenset):
        return f"<{','.join(sorted(map(_text, value)))}>"
    names = getattr(type(value), "decisive", None) or getattr(type(value), "__slots__", None)
    if names is None or "__dataclass_fields__" not in vars(type(value)):
        raise TypeError(f"{type(value).__name__} has no text")
    fields = ((name, _text(getattr(value, name))) for name in names if name not in _LEFT_OUT)
    return f"{type(value).__name__}({','.join(f'{name}={text}' for name, text in fields)})"
