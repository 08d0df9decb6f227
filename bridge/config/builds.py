"""Settings of builds, and pip's `only-binary` and `no-binary`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import TYPE_CHECKING, Literal, cast

from converters.deferred import dataclass
from converters.projects import canonicalize_name

if TYPE_CHECKING:
    from bridge.config.lookup import Lookup
    from bridge.config.pip import PipConfiguration

__all__ = ["BuildSettings", "Formats", "formats_of", "load_builds"]

_ALL, _NONE = ":all:", ":none:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """pip's `only-binary` and `no-binary`: normalised names, or `:all:`. A name beats `:all:` of the other option."""

    only_binary: frozenset[str] = frozenset()
    no_binary: frozenset[str] = frozenset()

    def with_others(self, others: Formats) -> Formats:
        """The union, as pip adds the options of a file to its configuration."""
        only = self.only_binary | others.only_binary
        return Formats(only_binary=only, no_binary=(self.no_binary | others.no_binary) - only)

    def bars(self, project: str, *, is_wheel: bool) -> bool:
        """Whether the wheels (or sdists) of a project are excluded (pip's `FormatControl.get_allowed_formats`)."""
        if project in self.only_binary:
            return not is_wheel
        if project in self.no_binary:
            return is_wheel
        return _ALL in (self.no_binary if is_wheel else self.only_binary)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """How builds run.

    :param network: whether the code of a build may use the network.
    :param timeout: seconds for one build; 0: no limit.
    :param confinement: if the machine cannot confine a build, `full` refuses it and `best` warns.
    :param variables: additional environment variables for builds.
    :param mechanisms: the sandbox mechanisms to use; `None`: all.
    """

    network: bool = False
    timeout: float = 3600.0
    confinement: Literal["best", "full"] = "best"
    variables: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] | None = None
    formats: Formats = field(default_factory=Formats)


def load_builds(ask: Lookup, pip: PipConfiguration, *, offline: bool) -> BuildSettings:
    """The settings of builds; `--offline` beats `--build-network`. Raises `UsageError` (`option-value`)."""
    return BuildSettings(
        network=ask.flag("build_network") and not offline,
        timeout=ask.number("build_timeout", 3600.0),
        confinement=cast("Literal['best', 'full']", ask.choice("build_confinement", ("best", "full"), "best")),
        variables=ask.strings("build_env"),
        formats=formats_of(pip.value("only-binary"), pip.value("no-binary")),
    )


def formats_of(only_binary: str | None, no_binary: str | None) -> Formats:
    """Parse both options as pip does: separated by comma or space; `:none:` clears what precedes it."""
    only, no = _names(only_binary), _names(no_binary)
    return Formats(only_binary=only, no_binary=no - only)


def _names(text: str | None) -> frozenset[str]:
    names: set[str] = set()
    for name in _split(text):
        if name == _NONE:
            names.clear()
        else:
            names.add(_ALL if name == _ALL else canonicalize_name(name))
    return frozenset(names)


def _split(text: str | None) -> Iterable[str]:
    return (text or "").replace(",", " ").split()
