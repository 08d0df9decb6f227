"""The pins of a search as a `Resolution`: packages, their dependents, and the evidence for their PyPI names."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from bridge.model import Resolution, Resolved, Statistics
from bridge.resolve.encode.facts import Corrected, Requested
from bridge.resolve.encode.loader import Loader
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import Candidate, Variable, VariableId
from bridge.resolve.search.choices import Choices
from bridge.resolve.search.joint import Reporter
from converters.deferred import replace
from converters.record import Record
from converters.target import Python, Target
from converters.translate import translate
from converters.wheel import WheelInfo

__all__ = ["Pins", "solution"]

Pins = Mapping[VariableId, Candidate]


def solution(loader: Loader, pins: Pins, reporter: Reporter, started: float) -> Resolution:
    """Return the result of a search; `started` is from `time.perf_counter`."""
    space = loader.space
    statistics = Statistics(
        rounds=reporter.rounds,
        backtracks=reporter.backtracks,
        candidates_seen=sum(map(int.bit_count, loader.loaded.values())) + sum(map(len, loader.metadata.values())),
        metadata_fetched=loader.metadata_read + loader.encoder.versions.read,
        seconds=time.perf_counter() - started,
    )
    target = _target(space, pins)
    packages = _packages(loader, pins, target)
    warnings = (*space.warnings, *_overruled(space, pins))
    return Resolution(target=target, packages=packages, statistics=statistics, warnings=warnings)


def _overruled(space: Space, pins: Pins) -> Iterator[str]:
    """Yield a sentence for each bound of a later build that had to be dropped (`candidates/rebuilds.py`)."""
    for place, demand in enumerate(space.demands):
        fact, pin = demand.fact, pins.get(demand.target)
        if not isinstance(fact, Corrected) or pin is None or pin.bit & space.allowed[place]:
            continue
        subject = pins.get(fact.subject) if fact.subject is not None else None
        conda = space.meanings[subject.variable].conda if subject is not None else None
        if subject is not None and conda is not None and subject.bit & fact.bits:
            record = conda.records[subject.bit.bit_length() - 2]
            said = f"a later build of this version depends on `{fact.text}`, which nothing in this solution meets"
            yield f"{record.name} {record.version} {record.build}: {said}"


def _target(space: Space, pins: Pins) -> Target:
    pin = pins.get(space.python)
    python = _python(space, pin) if pin is not None else None
    return space.catalog.target.with_python(python) if python is not None else space.catalog.target


def _python(space: Space, pin: Candidate) -> Python | None:
    conda = space.meanings[pin.variable].conda
    return conda.python(pin.bit.bit_length() - 2) if conda is not None else None


def _packages(loader: Loader, pins: Pins, target: Target) -> tuple[Resolved, ...]:
    space = loader.space
    chosen: dict[VariableId, Record] = {}
    for pin in pins.values():
        record = _record(loader, pin, target)
        if record is not None:
            chosen[pin.variable] = record
    taken = {record.name for record in chosen.values() if record.ecosystem == "conda"}
    for variable, record in chosen.items():
        if record.ecosystem == "wheel" and record.name in taken:
            # Another package of this name was chosen from conda; two records never share a name.
            chosen[variable] = replace(record, name=f"pypi-{record.pypi_names[0]}")
    needs, requested, extras = _edges(space, pins, chosen)
    choices = Choices(space, pins, chosen)
    packages = [
        Resolved(
            record=record,
            requested=tuple(requested.get(variable, ())),
            required_by=tuple(sorted(needs.get(variable, set()) - {record.name})),
            extras=tuple(sorted(extras.get(variable, ()))),
            evidence=_evidence(space, pins[variable]),
            choice=choices.of(variable),
        )
        for variable, record in chosen.items()
    ]
    return tuple(sorted(packages, key=lambda package: package.record.name))


def _record(loader: Loader, pin: Candidate, target: Target) -> Record | None:
    space = loader.space
    meaning, kind = space.meanings[pin.variable], space.variables[pin.variable].kind
    if kind == "conda" and pin.bit != meaning.wheel_bit:
        assert meaning.conda is not None
        return meaning.conda.record(pin.bit.bit_length() - 2)
    if kind != "wheels":
        return None
    file = space.file(*pin)
    info = WheelInfo(
        filename=file.filename,
        metadata=loader.metadata[pin.variable][pin.bit],
        url=file.url,
        origin=file.origin,
        sha256=file.sha256,
        size=file.size,
        yanked=file.yanked,
        upload_time=file.upload_time,
        revision=file.revision,
    )
    build = meaning.project.build(info, target) if meaning.project is not None else None
    return replace(translate(info, target, space.catalog.names, build), is_of_channel=file.is_of_channel)


def _evidence(space: Space, pin: Candidate) -> str:
    """Return the kind of evidence that links this package to its PyPI names."""
    conda = space.meanings[pin.variable].conda
    return "index" if conda is None else conda.provided[pin.bit.bit_length() - 2].evidence


def _edges(
    space: Space, pins: Pins, chosen: Mapping[VariableId, Record]
) -> tuple[dict[VariableId, set[str]], dict[VariableId, list[str]], dict[VariableId, set[str]]]:
    """Return the dependents, the requested texts and the extras of each chosen package, by its variable."""
    needs: dict[VariableId, set[str]] = {}
    requested: dict[VariableId, list[str]] = {}
    extras: dict[VariableId, set[str]] = {}
    for pin in pins.values():
        variable = space.variables[pin.variable]
        package = _package_of(space, variable, pins)
        if package is None:
            continue
        if variable.kind == "extra":
            extras.setdefault(package, set()).add(variable.extra)
        for demand in map(space.demands.__getitem__, space.onto[pin.variable]):
            if demand.is_optional or not space.store.satisfied(demand.source):
                continue
            fact = demand.fact
            if isinstance(fact, Requested) and fact.text not in requested.setdefault(package, []):
                requested[package].append(fact.text)
            parent = _package_of(space, space.variables[fact.subject], pins) if fact.subject is not None else None
            if parent is not None and parent != package and parent in chosen:
                needs.setdefault(package, set()).add(chosen[parent].name)
    return needs, {variable: texts for variable, texts in requested.items() if texts}, extras


def _package_of(space: Space, variable: Variable, pins: Pins) -> VariableId | None:
    """Return the variable whose candidate is the package behind an identifier."""
    if variable.kind == "extra":
        key = variable.key
        providers = space.catalog.providers
        names = (key,) if variable.is_of_records else (f"project:{key}", f"pypi:{key}", *providers(key))
        owners = (owner for name in names if (owner := space.find(name)) is not None and owner in pins)
        return next((_package_of(space, space.variables[owner], pins) for owner in owners), None)
    pin = pins.get(variable.id)
    if pin is None:
        return None
    meaning = space.meanings[variable.id]
    if pin.bit == meaning.wheel_bit and meaning.wheels is not None:
        return meaning.wheels
    if variable.kind == "selector":
        return meaning.providers[pin.bit.bit_length() - 2]
    return variable.id
