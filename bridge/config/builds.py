"""What is configured of builds of source distributions, and which projects may come as wheels or as source only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from bridge.config import Lookup
    from bridge.config.pip import PipConfiguration

__all__ = ["BuildSettings", "Formats", "formats_of", "load_builds"]

_ALL, _NONE = ":all:", ":none:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """pip's `only-binary` and `no-binary`: normalised names, or `:all:`. A name beats `:all:` of the other option."""

    only_binary: frozenset[str] = frozenset()
    no_binary: frozenset[str] = frozenset()

    def with_others(self, others: Formats) -> Formats:
        """Both together, as pip adds the options of a file to those of its configuration."""
        only = self.only_binary | others.only_binary
        return Formats(only_binary=only, no_binary=(self.no_binary | others.no_binary) - only)

    def bars(self, project: str, *, is_wheel: bool) -> bool:
        """Whether the files of this kind of a project are no candidates (pip's `FormatControl.get_allowed_formats`)."""
        if project in self.only_binary:
            return not is_wheel
        if project in self.no_binary:
            return is_wheel
        return _ALL in (self.no_binary if is_wheel else self.only_binary)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """How builds are run.

    :param network: whether the code of a build may use the network.
    :param timeout: seconds that one build may take; 0 for no limit.
    :param confinement: `full`: nothing is built where the machine cannot confine it; `best`: it is told.
    :param variables: further environment variables that builds get.
    :param mechanisms: of the sandbox, those that may be used.
    """

    network: bool = False
    timeout: float = 3600.0
    confinement: Literal["best", "full"] = "best"
    variables: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] | None = None
    formats: Formats = field(default_factory=Formats)


def load_builds(ask: Lookup, pip: PipConfiguration, *, offline: bool) -> BuildSettings:
    """Read the settings of builds. Raises `UsageError` (`option-value`). `--offline` beats `--build-network`."""
    return BuildSettings(
        network=ask.flag("build_network") and not offline,
        timeout=ask.number("build_timeout", 3600.0),
        confinement=cast("Literal['best', 'full']", ask.choice("build_confinement", ("best", "full"), "best")),
        variables=ask.strings("build_env"),
        formats=formats_of(pip.value("only-binary"), pip.value("no-binary")),
    )


def formats_of(only_binary: str | None, no_binary: str | None) -> Formats:
    """Read the values of the two options as pip does: lists by comma or space, of which `:none:` takes back."""
    only, no = _names(only_binary), _names(no_binary)
    return Formats(only_binary=only, no_binary=no - only)


def _names(text: str | None) -> frozenset[str]:
    found: set[str] = set()
    for name in _split(text):
        if name == _NONE:
            found.clear()
        else:
            found.add(_ALL if name == _ALL else canonicalize_name(name))
    return frozenset(found)


def _split(text: str | None) -> Iterable[str]:
    return (text or "").replace(",", " ").split()
