"""`read_lock`: a lock file, its format recognised by its content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.channels.machine import current_subdir
from bridge.requirements.files.locks.conda_lock import is_conda_lock, read_conda_lock
from bridge.requirements.files.locks.pylock import read_pylock
from bridge.requirements.files.locks.rattler import is_rattler, read_rattler
from bridge.requirements.files.locks.uv import is_uv_lock, read_uv_lock
from bridge.requirements.files.text import read_lock_text
from bridge.requirements.files.toml_text import load_toml
from bridge.requirements.files.values import Chosen, wrong
from bridge.requirements.locked import Lock

__all__ = ["lock_of_text", "lock_of_toml", "read_lock"]

_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml\Z")
_TABLE = re.compile(r"^\[\[package\]\]", re.MULTILINE)


def read_lock(
    path: Path,
    *,
    platform: str | None = None,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Lock:
    """Read a lock: pixi.lock, conda.lock, conda-lock.yml, uv.lock or pylock.toml.

    :param platform: for messages (default: this machine); a lock has the packages of all its platforms, which are read
        when they are asked for.
    :param extras, groups: of a pylock.toml or a uv.lock; `extras` are categories of a conda-lock.yml.

    Raises `UsageError` (`requirement-file`) for a file that is no lock, and as the reader of its format.
    """
    text = read_lock_text(path)
    chosen = Chosen(platform=platform or current_subdir(), extras=extras, groups=groups, environ=environ or {})
    lock = lock_of_text(path, text, chosen)
    if lock is None:
        document = load_toml(path, text) if path.suffix == ".toml" or _TABLE.search(text) else {}
        lock = lock_of_toml(path, document, chosen)
    if lock is None:
        hint = "bridge reads pixi.lock, conda.lock, conda-lock.yml, uv.lock and pylock.toml"
        raise wrong(path, None, "this is not a lock that bridge reads", hint=hint)
    return lock


def lock_of_text(path: Path, text: str, chosen: Chosen) -> Lock | None:
    """Return the lock that a YAML text is; `None` for any other text."""
    if is_rattler(text):
        _refuse_choice(path, chosen)
        return read_rattler(path, text)
    if is_conda_lock(text):
        if chosen.groups:
            raise wrong(path, None, "a conda-lock.yml has no groups", hint="--extra names one of its categories")
        return read_conda_lock(path, text, chosen)
    return None


def _refuse_choice(path: Path, chosen: Chosen) -> None:
    if chosen.extras or chosen.groups:
        option = f"--extra {chosen.extras[0]}" if chosen.extras else f"--group {chosen.groups[0]}"
        raise wrong(
            path, None, f"this lock has neither extras nor groups; {option} was given", hint="use --environment"
        )


def lock_of_toml(path: Path, document: Mapping[str, object], chosen: Chosen) -> Lock | None:
    """Return the lock that a TOML document is; `None` for any other document."""
    if _PYLOCK.match(path.name) or "lock-version" in document:
        return read_pylock(path, document, chosen)
    if is_uv_lock(path, document):
        return read_uv_lock(path, document, chosen)
    return None
