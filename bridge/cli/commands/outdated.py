"""`bridge outdated`: what is newer than what is installed, what an update would take, and what holds the rest back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge import prefix
from bridge.cli.commands.changes import sources_of
from bridge.cli.commands.replanning import plan_change
from bridge.cli.commands.request import Request
from bridge.cli.session import Session
from bridge.errors import UsageError
from bridge.install.frozen_and_pinned import pins
from bridge.install.plan import matching
from bridge.model import Change, Installed, PrefixState
from bridge.requirements import algebra
from bridge.requirements.names import name_of
from bridge.resolve import Catalog
from bridge.resolve.offers import Offer, offers
from converters.projects import canonicalize_name
from converters.record import Record
from converters.target import Target

__all__ = ["Outdated", "OutdatedPackage", "outdated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutdatedPackage:
    """An installed package of which there is a newer version.

    :param update: the version that `bridge update` would install; `None`: it stays.
    :param held_by: what does not accept the newest version; empty if an update takes it.
    """

    name: str
    source: str
    installed: str
    update: str | None
    newest: str
    held_by: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "source": self.source,
            "installed": self.installed,
            "update": self.update,
            "newest": self.newest,
            "held_by": list(self.held_by),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outdated:
    """The outdated packages of an environment, by name."""

    prefix: Path
    packages: tuple[OutdatedPackage, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge outdated --json` (`bridge/schemas/outdated.json`)."""
        return {"prefix": str(self.prefix), "packages": [each.to_json() for each in self.packages]}


def outdated(path: Path, session: Session, names: Sequence[str] = ()) -> Outdated:
    """Plan an update of the named packages, or of all, and compare it with the newest versions. Changes nothing.

    Raises `UsageError`, `NoSolutionError` and `NetworkError`.
    """
    state = prefix.require(path)
    sources = sources_of(session, state)
    chosen = [each for name in names for each in matching(state, name)] if names else state.installed
    shown = {each.meta_path for each in chosen}
    plan = plan_change(state, Request(requirements=()), sources, shown)
    updates = {each.old.meta_path: each.new.record for each in plan.operations if isinstance(each, Change)}
    after = [updates.get(each.meta_path, each.record) for each in state.installed]
    session.warnings.clear()  # They are about the update, which is not made.
    catalog = session.catalog(sources.channels, sources.names)
    case = _Case(state=state, catalog=catalog, after=after)
    rows = []
    for installed in (each for each in state.installed if each.meta_path in shown):
        offered = case.newest(installed)
        if not offered:
            continue
        newest = offered[0]
        new = updates.get(installed.meta_path, installed.record)
        is_behind = _is_newer(newest.version, new.version)
        if is_behind or _is_newer(new.version, installed.record.version):
            rows.append(
                OutdatedPackage(
                    name=installed.record.name,
                    source=installed.record.ecosystem,
                    installed=installed.record.version,
                    update=new.version if new.version != installed.record.version else None,
                    newest=newest.version if is_behind else new.version,
                    held_by=tuple(case.holders(installed, offered)) if is_behind else (),
                )
            )
    return Outdated(prefix=path, packages=tuple(sorted(rows, key=lambda each: each.name)))


def _is_newer(version: str, than: str) -> bool:
    one, other = algebra.conda_version(version), algebra.conda_version(than)
    return one is not None and other is not None and one > other


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """An environment, what is offered, and the records after an update."""

    state: PrefixState
    catalog: Catalog
    after: list[Record]

    def newest(self, installed: Installed) -> tuple[Offer, ...]:
        """The offers of the newest version of the package's ecosystem that suits the platform, whatever the python."""
        record = installed.record
        project = record.pypi_names[0] if record.pypi_names else record.name
        text = f"conda:{record.name}" if record.ecosystem == "conda" else f"pypi:{project}"
        try:
            offered = offers(algebra.parse(text), self.catalog)
        except UsageError:  # A name that a requirement cannot have.
            return ()
        if offered.taken is None:
            return ()
        others = (each for each in (*offered.conda, *offered.wheels) if each is not offered.taken and not each.unusable)
        return (offered.taken, *(each for each in others if each.version == offered.taken.version))

    def holders(self, installed: Installed, newest: Sequence[Offer]) -> Iterator[str]:
        """What does not accept the newest version of a package.

        :param newest: its offers, one for each python perhaps.
        """
        version, name = newest[0].version, installed.record.name
        projects = set(installed.record.pypi_names)
        is_named = False
        for pin in pins(self.state.prefix):
            if pin.name == name and not pin.accepts(version):
                is_named = True
                yield f"the pin {pin.text}"
        for text in installed.requested:
            if not _accepts(text, version):
                is_named = True
                yield f"your request {text}"
        for record in self.after:
            for text in record.requirements:
                if _concerns(record, text, name, projects) and not _accepts(text, version, self._environment):
                    is_named = True
                    yield f"{record.name} {record.version} needs {text}"
        if (reason := self._other_python(newest)) is not None:
            is_named = True
            yield reason
        if not is_named:
            yield "what the newest version requires"

    @property
    def _environment(self) -> Mapping[str, str] | None:
        python = self.state.python
        return None if python is None else self.catalog.target.marker_environment(python)

    def _other_python(self, newest: Sequence[Offer]) -> str | None:
        """Why the python of the environment suits none of the offers."""
        if self.state.python is None:
            return None
        target: Target = self.catalog.target.with_python(self.state.python)
        unusable = [each.on(target) for each in newest]
        return f"python {self.state.python.version} ({unusable[0]})" if all(unusable) else None


def _concerns(record: Record, text: str, name: str, projects: set[str]) -> bool:
    named = name_of(text)
    if record.ecosystem == "conda":
        return named == name
    return canonicalize_name(named) in projects


def _accepts(text: str, version: str, environment: Mapping[str, str] | None = None) -> bool:
    """Whether a requirement accepts a version; one whose marker does not hold here accepts all."""
    try:
        requirement = algebra.parse(text)
    except UsageError:
        try:
            requirement = algebra.conda_requirement(text)
        except UsageError:
            return True
    marker = requirement.marker
    if marker is not None and environment is not None and not algebra.marker_holds(marker, dict(environment)):
        return True
    return requirement.accepts(version)
