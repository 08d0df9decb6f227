"""The input of one solve, beside the catalog."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.requirements.algebra import Requirement
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.variables import DemandId

__all__ = ["SolveRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveRequest:
    """The user's requirements and those of the environment; `bridge.resolve.resolve` describes each."""

    requirements: tuple[Requirement, ...]
    earlier: frozenset[str] = frozenset()  # the texts of those `requirements` that an earlier command stated
    retained: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    requires_python: str | None = None
    pins: tuple[Requirement, ...] = ()
    foreign: tuple[Requirement, ...] = ()

    def encode(self, encoder: Encoder) -> list[DemandId]:
        """Add all of it to a space; returns the demands at the root."""
        encoder.space.named = frozenset(each.conda.name for each in self.requirements if each.conda is not None)
        for constraint in self.constraints:
            encoder.constrain(constraint)
        for pin in self.pins:
            encoder.pin(pin)
        roots = [
            root
            for requirement in self.requirements
            for root in encoder.require(requirement, is_earlier=requirement.text in self.earlier)
        ]
        roots += [root for requirement in self.retained for root in encoder.retain(requirement)]
        roots += [root for requirement in self.foreign for root in encoder.retain_foreign(requirement)]
        return roots + (encoder.restrict_python(self.requires_python) if self.requires_python else [])
