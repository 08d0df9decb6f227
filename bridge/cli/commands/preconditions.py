"""What must hold of a path before an environment is made or changed there."""

from __future__ import annotations

import os
from pathlib import Path

from bridge import prefix
from bridge.cli.session import Session
from bridge.errors import OwnershipError, UsageError
from bridge.install.frozen_and_pinned import check_not_frozen
from bridge.paths import META, quoted
from bridge.prefix.platform import platform_of

__all__ = ["check_changeable", "check_creatable"]


def check_creatable(path: Path, words: str = "") -> None:
    """Raise `OwnershipError` (`prefix-exists`, `prefix-mount`) or `UsageError` (`prefix-parent`) if none can be made.

    :param words: the requirements, for the command of a hint.
    """
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        hint = "choose another path or an empty directory"
        if (path / META).is_dir():
            hint = f"choose another path, or add to it with: {f'bridge install -p {quoted(path)} {words}'.rstrip()}"
        elif path.is_symlink():
            target = os.path.realpath(path)
            hint = f"make it where that link leads: {f'bridge create -p {quoted(target)} {words}'.rstrip()}"
        raise OwnershipError("prefix-exists", f"{path} exists already", hint=hint)
    if os.path.ismount(path):
        below = f"bridge create -p {quoted(path / 'env')} {words}".rstrip()
        raise OwnershipError(
            "prefix-mount",
            f"{path} is a mount point, and an environment appears by one rename, which cannot replace a mount point",
            hint=f"make it in a directory below: {below}",
        )
    parent = next(each for each in path.parents if os.path.lexists(each))
    if not parent.is_dir():
        raise UsageError(
            "prefix-parent",
            f"{path} cannot be created: {parent} is not a directory",
            hint="choose another path with -p DIR",
        )


def check_changeable(path: Path, session: Session, words: str = "") -> None:
    """Refuse what cannot be changed, dry runs too.

    :param words: the requirements, for the command of a hint.

    Raises `UsageError` (`not-an-environment`; `environment-platform`: it is for another one than `--platform`) and
    `OwnershipError` (`frozen-environment`, CEP 22).
    """
    prefix.check(path, words or "python")
    asked, own = session.settings.platform, platform_of(path)
    if asked is not None and own is not None and asked != own:
        raise UsageError(
            "environment-platform",
            f"{path} is for {own}, and its packages cannot be mixed with those for {asked}",
            hint=f"leave --platform out, or make another environment: bridge create -p DIR --platform {asked} …",
        )
    if not session.settings.override_frozen:
        check_not_frozen(path)
