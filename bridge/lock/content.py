"""What is written into a lock, and the result of writing it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bridge.requirements.locked import LockedEnvironment

__all__ = ["FORMATS", "Content", "Format", "Inputs", "Written", "platforms_of"]

Format = Literal["rattler", "conda-lock", "pylock", "explicit", "requirements", "environment"]
FORMATS: tuple[Format, ...] = ("rattler", "conda-lock", "pylock", "explicit", "requirements", "environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a lock was made from, so that `bridge lock` without arguments makes it again.

    :param requirements, editables: as typed. `files`: POSIX paths relative to the lock.
    :param extras, groups, environments: what was taken of the files.
    :param options: the parameter name of each option that was given → its value.
    """

    requirements: tuple[str, ...] = ()
    editables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing says what to lock."""
        return not (self.requirements or self.editables or self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The environments of a lock, `default` first, and what they were made from.

    :param name: of an installed environment. `variables`: those that its activation sets.
    """

    environments: tuple[LockedEnvironment, ...]
    inputs: Inputs = field(default_factory=Inputs)
    name: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def platforms(self) -> tuple[str, ...]:
        return platforms_of(self.environments)


def platforms_of(environments: tuple[LockedEnvironment, ...]) -> tuple[str, ...]:
    """Return the platforms of all environments, sorted."""
    return tuple(sorted({platform for each in environments for platform in each.packages}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A text in some format, and what that format cannot hold: one sentence each."""

    text: str
    left_out: tuple[str, ...] = ()
