"""The input of one solve, beside the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from bridge.requirements.algebra import Requirement
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.facts import PinnedByConfiguration
from bridge.resolve.encode.variables import DemandId
from converters.deferred import dataclass, replace

__all__ = ["SolveRequest", "Standing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an environment adds to a request.

    :param earlier: requirements of earlier commands, which stand too.
    :param retained: names that must stay installed, in some version, though nobody requests them.
    :param pins: MatchSpecs of `conda-meta/pinned`: constraints that the explanation names as pins.
    :param configured: the same of `pinned_packages` in .condarc files.
    :param foreign: distributions of other installers, which stay; the explanation calls each by its `text`.
    :param kept: installed packages to keep where possible: conda name → build identity (`name-version-build`), or
        `pypi:PROJECT` → wheel file name.
    :param agreed: versions to prefer before kept packages, those of other platforms of a lock: conda name or
        `pypi:PROJECT` → version, and `wheel:PROJECT` where it is that of a wheel.
    """

    earlier: tuple[Requirement, ...] = ()
    retained: tuple[Requirement, ...] = ()
    pins: tuple[Requirement, ...] = ()
    configured: tuple[Requirement, ...] = ()
    foreign: tuple[Requirement, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    agreed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveRequest:
    """The requirements of one solve.

    :param constraints: conditions on projects that apply only if the project is installed (pip's constraints).
    :param requires_python: a PEP 440 specifier that python must meet.
    :param patience: the seconds after which the search stops, if they differ from `Options.patience`.
    """

    requirements: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...] = ()
    requires_python: str | None = None
    standing: Standing = field(default_factory=Standing)
    patience: float | None = None

    @property
    def asked(self) -> tuple[Requirement, ...]:
        """The requirements of this and of earlier commands."""
        return (*self.requirements, *self.standing.earlier)

    def reduced(self, asked: Iterable[Requirement]) -> SolveRequest:
        """Return the same request with only these of its `asked` requirements."""
        left = frozenset(map(id, asked))
        earlier = tuple(each for each in self.standing.earlier if id(each) in left)
        return replace(
            self,
            requirements=tuple(each for each in self.requirements if id(each) in left),
            standing=replace(self.standing, earlier=earlier),
        )

    def encode(self, encoder: Encoder) -> list[DemandId]:
        """Add all of it to a space; returns the demands at the root."""
        standing, asked = self.standing, self.asked
        encoder.space.named = frozenset(each.conda.name for each in asked if each.conda is not None)
        for constraint in self.constraints:
            encoder.constrain(constraint)
        for pin in standing.pins:
            encoder.pin(pin)
        for pin in standing.configured:
            encoder.pin(pin, PinnedByConfiguration)
        texts = frozenset(each.text for each in standing.earlier)
        roots = [root for each in asked for root in encoder.require(each, is_earlier=each.text in texts)]
        roots += [root for each in standing.retained for root in encoder.retain(each)]
        roots += [root for each in standing.foreign for root in encoder.retain_foreign(each)]
        return roots + (encoder.restrict_python(self.requires_python) if self.requires_python else [])
