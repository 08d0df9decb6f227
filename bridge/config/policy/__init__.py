"""The policy of a run: what may come from where, and how. Files are read by `reading`; all else is pure.

The files that the user's and the system's configuration name hold beside the one of the command line or the project, so
that no project can loosen what its machine demands: a package has to keep to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from bridge.config.policy.rules import Breach, Publisher, RuleFile, Subject
from bridge.errors import UnsafeInputError
from converters.deferred import dataclass, replace
from converters.projects import canonicalize_name

__all__ = ["Breach", "Policy", "Publisher", "RuleFile", "Subject"]

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All files that hold in a run."""

    files: tuple[RuleFile, ...]

    subject: ClassVar = Subject
    """What is judged of a package, for modules that are loaded without a policy too."""

    def located(self, expand: Callable[[str], Iterable[str]]) -> Policy:
        """Return the policy with the channels that its names mean; without them a name allows only itself.

        :param expand: the name of a channel → URLs.
        """
        return replace(self, files=tuple(each.located(expand) for each in self.files))

    @staticmethod
    def refusal(breaches: Sequence[Breach]) -> UnsafeInputError:
        """Return the error (`policy`) for broken rules."""
        texts = list(dict.fromkeys(map(str, breaches)))
        more = [f"and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
        return UnsafeInputError(
            "policy",
            f"refused by the policy: {texts[0]}",
            context=(*texts[1:_SHOWN], *more),
            hint="take another version or source, or change the rule where it is written",
            objects={"breaches": [each.to_json() for each in breaches]},
        )

    def breaches(self, subject: Subject) -> Iterator[Breach]:
        """Yield each rule that a package breaks, as far as it is known."""
        for each in self.files:
            yield from each.breaches(subject)

    def may_serve(self, names: Iterable[str], origin: str) -> bool:
        """Return whether a channel or index may serve a package or project of these names."""
        known = tuple(map(canonicalize_name, names))
        return all(each.may_serve(known, origin) for each in self.files)

    def bindings(self, names: Iterable[str]) -> list[str]:
        """Return a sentence for each rule that says where packages of these normalised names may come from."""
        known = tuple(names)
        return [text for each in self.files for text in each.bindings(known)]

    def cutoff(self, names: Sequence[str]) -> int | None:
        """Return the moment, in milliseconds, after which packages of these names are too new."""
        limits = [limit for each in self.files if (limit := each.cutoff(names)) is not None]
        return min(limits, default=None)

    def may_run_scripts(self, names: Sequence[str]) -> bool:
        """Return whether the link scripts of a package may run."""
        return all(each.link_scripts.admits(names) for each in self.files)

    def clobbering(self, label: str, names: Sequence[str]) -> Iterator[Breach]:
        """Yield the rules by which a package may not yield a path to another."""
        for each in self.files:
            if not each.clobber.admits(names):
                yield each.breach("clobber", label, f"{label} shares a path with another package, and may not yield it")

    def publishers(self, names: Sequence[str]) -> list[tuple[RuleFile, str, Publisher]]:
        """Return who must have attested a package of these names: each rule with its file."""
        publishers = [(each, each.publisher(names)) for each in self.files]
        return [(each, *rule) for each, rule in publishers if rule is not None]

    @cached_property
    def judges_licenses(self) -> bool:
        """Whether a licence can be refused."""
        return any(each.licenses is not None for each in self.files)

    @property
    def shown(self) -> str:
        """The files, for people."""
        return ", ".join(each.shown for each in self.files)
