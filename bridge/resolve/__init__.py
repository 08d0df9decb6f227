"""The joint resolver: conda packages and wheels as one candidate space, driven by resolvelib (decision 0004)."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from resolvelib.resolvers import ResolutionTooDeep

from bridge.errors import NoSolutionError
from bridge.model import Resolution, Resolved, Statistics
from bridge.requirements.algebra import Requirement
from bridge.resolve.catalog import Catalog, IndexPort, Options, RecordPort
from bridge.resolve.conflict import Conflict, Request
from bridge.resolve.provider import Candidate, Reporter, Unsolvable, Watcher, run
from bridge.resolve.space import Space
from bridge.resolve.variables import Variable
from converters.record import Record
from converters.target import Python, Target
from converters.translate import translate
from converters.wheel import WheelInfo

__all__ = ["Catalog", "IndexPort", "Options", "RecordPort", "resolve"]

MAX_ROUNDS = 200_000


def resolve(
    requirements: Sequence[Requirement],
    catalog: Catalog,
    *,
    present: Sequence[Requirement] = (),
    constraints: Sequence[Requirement] = (),
    requires_python: str | None = None,
    pins: Sequence[Requirement] = (),
    foreign: Sequence[Requirement] = (),
    kept: Mapping[str, str] | None = None,
    watcher: Watcher | None = None,
) -> Resolution:
    """Find the preferred set of candidates that meets all `requirements` on the catalog's target.

    :param catalog: what is known of names and projects; may be shared by many calls.
    :param present: names that are installed and are to stay, in some version, though nobody asks for them.
    :param constraints: what must hold of a project if it is installed at all.
    :param requires_python: a PEP 440 specifier that python must meet.
    :param pins: MatchSpecs of an environment's `conda-meta/pinned`: constraints that the explanation names as such.
    :param foreign: wheels that another installer put there, and that stay; `text` is how the explanation calls them.
    :param kept: installed packages, to be kept where they do: conda name → build identity (`name-version-build`), or
        `pypi:PROJECT` → wheel file name.
    :param watcher: told of every pin.

    Costs one query a batch of names, one page a project that conda does not serve, METADATA of few wheels. Raises
    `NoSolutionError` with a derivation, and `NetworkError` where a channel or an index does not answer.
    """
    started = time.perf_counter()
    collecting = gc.isenabled()
    gc.disable()  # clauses live exactly as long as this call: looking for garbage among them would cost a third
    try:
        request = Request(
            tuple(requirements), tuple(present), tuple(constraints), requires_python, tuple(pins), tuple(foreign)
        )
        found = _resolve(request, catalog, kept or {}, watcher, started)
    finally:
        if collecting:
            gc.enable()
    if isinstance(found, NoSolutionError):
        raise found  # here, for an error holds on to all that lives where it is raised
    return found


def _resolve(
    request: Request,
    catalog: Catalog,
    kept: Mapping[str, str],
    watcher: Watcher | None,
    started: float,
) -> Resolution | NoSolutionError:
    with closing(Space(catalog, _kept_candidates(catalog, kept))) as space:
        reporter = Reporter(watcher)
        try:
            pins = run(space, request.roots(space), reporter, MAX_ROUNDS)
        except Unsolvable as verdict:
            with closing(Conflict(request, space, verdict.proof, reporter.rounds)) as conflict:
                return conflict.explained()
        except ResolutionTooDeep:
            return NoSolutionError("too-deep", f"no solution was found in {MAX_ROUNDS} rounds")
        return _solved(space, pins, reporter, started)


def _solved(space: Space, pins: Mapping[str, Candidate], reporter: Reporter, started: float) -> Resolution:
    packages = _packages(space, pins)
    statistics = Statistics(
        rounds=reporter.rounds,
        backtracks=reporter.backtracks,
        candidates_seen=sum(variable.loaded.bit_count() + len(variable.metadata) for variable in space.variables),
        metadata_fetched=reporter.metadata_read,
        seconds=time.perf_counter() - started,
    )
    return Resolution(
        target=_target(space, pins), packages=packages, statistics=statistics, warnings=tuple(space.warnings)
    )


def _kept_candidates(catalog: Catalog, kept: Mapping[str, str]) -> dict[str, int]:
    """Installed packages as candidates of their variables; a wheel also keeps its conda name on the wheel."""
    masks: dict[str, int] = {}
    for name, identity in kept.items():
        if name.startswith("pypi:"):
            project = name.removeprefix("pypi:")
            for place, file in enumerate(catalog.project(project).files):
                if file.filename == identity:
                    masks[name] = 2 << place
            for carrier in catalog.carriers(project):
                conda = catalog.conda(carrier)
                if conda.standin == project:
                    masks[carrier] = conda.wheel_bit
        else:
            for place, record in enumerate(catalog.conda(name).records):
                if record.identity == identity:
                    masks[name] = 2 << place
    return masks


def _target(space: Space, pins: Mapping[str, Candidate]) -> Target:
    """The target with the python that was chosen."""
    pin = pins.get("python")
    python = _python(pin) if pin is not None else None
    return space.catalog.target.with_python(python) if python is not None else space.catalog.target


def _python(pin: Candidate) -> Python | None:
    conda = pin.variable.conda
    return conda.python(pin.bit.bit_length() - 2) if conda is not None else None


def _packages(space: Space, pins: Mapping[str, Candidate]) -> tuple[Resolved, ...]:
    target = _target(space, pins)
    chosen: dict[int, Record] = {}
    for pin in pins.values():
        record = _record(space, pin, target)
        if record is not None:
            chosen[pin.variable.index] = record
    taken = {record.name for record in chosen.values() if record.ecosystem == "conda"}
    for index, record in chosen.items():
        if record.ecosystem == "wheel" and record.name in taken:
            # A conda package of this name was chosen too, so it is another thing: two records never share a name.
            chosen[index] = replace(record, name=f"pypi-{record.pypi_names[0]}")
    needs, asked, extras = _edges(space, pins, chosen)
    packages = [
        Resolved(
            record=record,
            requested=tuple(asked.get(index, ())),
            required_by=tuple(sorted(needs.get(index, set()) - {record.name})),
            extras=tuple(sorted(extras.get(index, ()))),
            evidence=_evidence(space.variables[index], pins),
        )
        for index, record in chosen.items()
    ]
    return tuple(sorted(packages, key=lambda package: package.record.name))


def _record(space: Space, pin: Candidate, target: Target) -> Record | None:
    variable, place = pin.variable, pin.bit.bit_length() - 2
    if variable.kind == "conda" and pin.bit != variable.wheel_bit:
        assert variable.conda is not None
        return variable.conda.record(place)
    if variable.kind != "wheels":
        return None
    file = space.file(variable, pin.bit)
    info = WheelInfo(
        filename=file.filename,
        metadata=variable.metadata[pin.bit],
        url=file.url,
        origin=file.origin,
        sha256=file.sha256,
        size=file.size,
        yanked=file.yanked,
        upload_time=file.upload_time,
    )
    return translate(info, target, space.catalog.names)


def _evidence(variable: Variable, pins: Mapping[str, Candidate]) -> str:
    """On what the link between this package and its PyPI names rests."""
    if variable.kind == "conda" and variable.conda is not None:
        return variable.conda.provided[pins[variable.name].bit.bit_length() - 2].evidence
    return "index"


def _edges(
    space: Space, pins: Mapping[str, Candidate], chosen: Mapping[int, Record]
) -> tuple[dict[int, set[str]], dict[int, list[str]], dict[int, set[str]]]:
    """Who needs whom, what the person asked of it, and which extras, by the index of the chosen package's variable."""
    needs: dict[int, set[str]] = {}
    asked: dict[int, list[str]] = {}
    extras: dict[int, set[str]] = {}
    for pin in pins.values():
        package = _package_of(pin.variable, pins)
        if package is None:
            continue
        if pin.variable.kind == "extra":
            extras.setdefault(package, set()).add(pin.variable.extra)
        for demand in pin.variable.demands:
            if demand.is_optional or not space.store.satisfied(demand.source):
                continue
            if demand.fact.kind == "asked" and demand.fact.text not in asked.setdefault(package, []):
                asked[package].append(demand.fact.text)
            subject = demand.fact.subject
            parent = _package_of(subject, pins) if subject is not None else None
            if parent is not None and parent != package and parent in chosen:
                needs.setdefault(package, set()).add(chosen[parent].name)
    return needs, {index: texts for index, texts in asked.items() if texts}, extras


def _package_of(variable: Variable, pins: Mapping[str, Candidate]) -> int | None:
    """The index of the variable whose candidate is the package behind an identifier."""
    if variable.kind == "extra":
        for name in (f"project:{variable.key}", f"pypi:{variable.key}", variable.key):
            if name in pins:
                return _package_of(pins[name].variable, pins)
        return next((v.index for v in _serving(variable, pins)), None)
    pin = pins.get(variable.name)
    if pin is None:
        return None
    if pin.bit == variable.wheel_bit and variable.wheels is not None:
        return variable.wheels.index
    if variable.kind == "slot":
        return variable.carriers[pin.bit.bit_length() - 2].index
    return variable.index


def _serving(extra: Variable, pins: Mapping[str, Candidate]) -> Iterable[Variable]:
    """The conda names among the pins that carry an extra's project."""
    for pin in pins.values():
        conda = pin.variable.conda
        if conda is None or pin.bit == pin.variable.wheel_bit:
            continue
        if extra.key in conda.provided[pin.bit.bit_length() - 2].projects:
            yield pin.variable
