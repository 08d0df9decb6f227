"""The options of the functions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from bridge.errors import UsageError

__all__ = ["Options", "StrPath", "texts"]

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where packages come from, how they are chosen, and how environments are changed: the options of the commands.

    An option that is not given has the value that the commands would use: that of `BRIDGE_*`, of bridge's, pip's and
    conda's configuration, else the default. Each call reads them again.

    :param channels: conda channels, highest priority first: names, URLs or directories; `host` is this interpreter.
    :param project_indexes: project → the only index that may serve it.
    :param exclude_newer: dates or durations, also `NAME=DATE`.
    :param archives: directories that archives are taken from, by name and hash, before the network.
    :param patience: the seconds of a search after which it stops.
    """

    channels: Sequence[StrPath] = ()
    override_channels: bool = False
    channel_priority: Literal["strict", "flexible"] | None = None
    index_url: str | None = None
    extra_index_urls: Sequence[str] = ()
    project_indexes: Mapping[str, str] = field(default_factory=dict)
    index_strategy: Literal["first", "best"] | None = None
    find_links: Sequence[StrPath] = ()
    no_index: bool = False
    name_map: StrPath | None = None
    platform: str | None = None
    virtual_packages: Mapping[str, str] = field(default_factory=dict)
    prefer: Literal["conda", "wheel", "newest"] | None = None
    only: Mapping[str, Literal["conda", "wheel"]] = field(default_factory=dict)
    exclude_newer: Sequence[str] = ()
    offline: bool = False
    no_build: bool = False
    build_network: bool = False
    pre: bool = False
    patience: float | None = None
    archives: Sequence[StrPath] = ()
    adopt: bool = False
    set_aside: bool = False
    allow_clobber: Sequence[str] = ()
    allow_link_scripts: bool = False
    allow_external_symlinks: bool = False
    refuse_startup_code: bool = False
    override_frozen: bool = False
    compile: bool | None = None
    lock_timeout: float | None = None
    durability: Literal["full", "batched", "none"] | None = None
    link_mode: Literal["auto", "clone", "copy", "hardlink"] | None = None
    cache_dir: StrPath | None = None

    def parameters(self) -> dict[str, object]:
        """Return what was given, by the names of `bridge.config.load`. Raises `UsageError` (`option-value`)."""
        given = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {_NAMES.get(name, name): _parameter(name, value) for name, value in given if _is_given(name, value)}


def _is_given(name: str, value: object) -> bool:
    if value is None or (value is False and name != "compile"):
        return False
    return not (isinstance(value, (str, Sequence, Mapping)) and not value)


_NAMES = {
    "channels": "channel",
    "extra_index_urls": "extra_index_url",
    "project_indexes": "index",
    "virtual_packages": "virtual_package",
    "archives": "from",
}
_SEQUENCES = frozenset({"channels", "extra_index_urls", "find_links", "exclude_newer", "archives", "allow_clobber"})
_MAPPINGS = frozenset({"project_indexes", "virtual_packages", "only"})


def _parameter(name: str, value: object) -> object:
    if name in _SEQUENCES:
        return texts(value, f"Options.{name}")
    if name in _MAPPINGS:
        if not isinstance(value, Mapping):
            raise UsageError("option-value", f"Options.{name}: {value!r} is not a mapping")
        return tuple(f"{key}={each}" for key, each in value.items())
    if name == "compile":
        return "yes" if value else "no"
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def texts(values: object, what: str) -> tuple[str, ...]:
    """Return texts or paths as texts. Raises `UsageError` (`option-value`), for a single text too."""
    if isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping)):
        paths = tuple(os.fspath(each) if isinstance(each, os.PathLike) else each for each in values)
        if all(isinstance(each, str) for each in paths):
            return paths
    raise UsageError("option-value", f"{what}: {values!r} is not a sequence of texts", hint="give a list or a tuple")
