"""Seeding defects one after the other, and holding each audit against what must be found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.audit.run import audit
from bridge.channels._rattler import detect_virtual_packages
from converters.names import NameMap
from converters.target import Target
from tests.support import defects_of_imports, defects_of_meaning, defects_of_records
from tests.support.defect_environments import Environment, environments
from tests.support.defects import KINDS, Kind

assert (
    defects_of_imports.ALL == defects_of_meaning.ALL == defects_of_records.ALL
)  # they register their kinds when they are imported

Finding = dict[str, object]


@dataclass(frozen=True)
class Outcome:
    """One seeded defect. `is_culprit_right` is `None` where nobody is to blame."""

    environment: str
    kind: str
    is_found: bool
    is_culprit_right: bool | None
    findings: int
    false_alarms: tuple[Finding, ...]
    seen: tuple[Finding, ...]

    @property
    def is_right(self) -> bool:
        return self.is_found and self.is_culprit_right is not False and not self.false_alarms

    @property
    def complaint(self) -> str:
        said = [] if self.is_found else ["not found"]
        said += ["wrong culprit"] if self.is_culprit_right is False else []
        said += [f"false alarm: {_short(each)}" for each in self.false_alarms]
        return "; ".join([*said, "seen: " + ", ".join(_short(each) for each in self.seen)])


def run_defects(folder: Path, kinds: tuple[str, ...], instances: int, rng: random.Random) -> Iterator[Outcome]:
    """Seed `instances` defects, each kind as often as another, in the environments that can have it."""
    made = list(environments(folder, kinds, folder / "cache"))
    target = Target(subdir="linux-64", virtual_packages=tuple(detect_virtual_packages()))
    sound = {each.kind: {_identity(finding) for finding in _audit(each, target)} for each in made}
    possible = [(kind, each) for kind in KINDS for each in made if each.kind in kind.where]
    chosen = [possible[number % len(possible)] for number in range(instances)]
    if instances < len(possible):
        rng.shuffle(possible)
        chosen = possible[:instances]
    for kind, environment in chosen:
        yield _one(kind, environment, target, sound[environment.kind], rng)


def _one(kind: Kind, environment: Environment, target: Target, sound: set[object], rng: random.Random) -> Outcome:
    environment.restore()
    expected = kind.seed(environment, rng)
    found = [finding for finding in _audit(environment, target) if _identity(finding) not in sound]
    met = [finding for finding in found if expected.is_met_by(finding)]
    is_right = any(finding["by"] in expected.by for finding in met) if expected.by else None
    alarms = tuple(finding for finding in found if not expected.accounts_for(finding))
    return Outcome(environment.kind, kind.name, bool(met), is_right, len(found), alarms, tuple(found))


def _audit(environment: Environment, target: Target) -> list[Finding]:
    report = audit(environment.root, target, NameMap.empty(), environ=environment.environ)
    return [finding.to_json() for finding in report.findings]


def _identity(finding: Finding) -> object:
    return finding["id"], finding["path"], finding["package"]


def _short(finding: Finding) -> str:
    return f"{finding['level']} {finding['id']} {finding['path']} ({finding['package']}) by {finding['by']}"
