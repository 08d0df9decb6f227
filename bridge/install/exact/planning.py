"""Plan a prefix of exactly these packages. Pure, but for the warnings that callers pass on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bridge.errors import NoSolutionError, UsageError
from bridge.install import plan as plans
from bridge.model import Installed, Plan, PrefixState, Remove, Resolution, Resolved
from bridge.prefix.claims import incoming
from bridge.requirements.algebra import Requirement, python_specifier, specifier_accepts
from bridge.requirements.displaced import displaced
from bridge.requirements.matchspec import parse_conda
from converters.deferred import replace
from converters.record import Record
from converters.target import Python, Target

__all__ = ["OF_WHEEL", "check_fit", "check_pins", "plan_exact", "python_of"]

OF_WHEEL = frozenset({"requirements", "requires_python", "extras", "license"})
"""The fields of a wheel's record that its METADATA states."""

_FREE_THREADED = re.compile(r"_cp\d+t\Z")
_SHOWN = 5


def python_of(records: Iterable[Record]) -> Python | None:
    """Return the CPython among the records."""
    for record in records:
        if record.ecosystem == "conda" and record.name == "python":
            site = record.python_site_packages_path or ""
            is_free = bool(_FREE_THREADED.search(record.build) or re.search(r"python\d+\.\d+t/", site))
            return Python(version=record.version, free_threaded=is_free)
    return None


def check_fit(packages: Sequence[Resolved], target: Target, source: str) -> None:
    """Check that the packages belong together and run on the target, as far as their records state it.

    :param source: what names the packages, for errors: `bridge.lock`, `revision 3`.

    Raises `UsageError`: `lock-ambiguous` for two packages of one name, `lock-platform` for a package of another
    platform, `lock-unfit` for a missing virtual package, `no-python` for wheels without a python.
    """
    names = [each.record.name for each in packages]
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise UsageError(
            "lock-ambiguous",
            f"{source} has more than one package of a name: {', '.join(twice[:_SHOWN])}",
            hint="write it again with the tool that made it",
        )
    strange = [each.record for each in packages if each.record.subdir not in {target.subdir, "noarch"}]
    if strange:
        raise UsageError(
            "lock-platform",
            f"{source} has packages for {strange[0].subdir}, and the platform is {target.subdir}: {strange[0].label}",
            hint="choose the platform with --platform, or make the lock again",
        )
    if target.python is None and any(each.record.ecosystem == "wheel" for each in packages):
        raise UsageError(
            "no-python",
            f"{source} has wheels and no python, and the environment has none either",
            hint="create an environment with python first, then sync it with --keep",
        )
    unfit = [text for each in packages for text in _unmet(each.record, target)]
    if unfit:
        raise UsageError(
            "lock-unfit",
            f"{source} does not fit this machine: {unfit[0]}",
            context=unfit[1:_SHOWN],
            hint="choose another lock; --virtual-package NAME=VERSION declares what the machine has",
        )


def _unmet(record: Record, target: Target) -> list[str]:
    unmet = []
    for text in record.requirements if record.ecosystem == "conda" else ():
        if not text.startswith("__"):
            continue
        spec = parse_conda(text)
        there = target.virtual(spec.name)
        if there is None or not spec.accepts_version(there):
            unmet.append(f"{record.name} {record.version} needs {text}, and it has {there or 'none'}")
    if record.ecosystem == "wheel" and record.requires_python and target.python is not None:
        specifier = python_specifier(record.requires_python)
        if specifier is not None and not specifier_accepts(specifier, target.python.version):
            needs = f"needs python {record.requires_python}"
            unmet.append(f"{record.name} {record.version} {needs}, and it has {target.python.version}")
    return unmet


def check_pins(plan: Plan, pins: Iterable[Requirement], source: str, *, configured: Iterable[Requirement] = ()) -> None:
    """Raise `NoSolutionError` (`pinned`) if the plan brings a package that a pin does not allow.

    :param pins: those of `conda-meta/pinned`.
    :param configured: `pinned_packages` of .condarc files.
    """
    places = {"conda-meta/pinned": tuple(pins), "pinned_packages in the .condarc file": tuple(configured)}
    broken = [
        (place, f"{record.name} {record.version} {record.build}, and it is pinned to `{pin.text}`")
        for record in (each.record for each in incoming(plan))
        for place, own in places.items()
        for pin in own
        if pin.name in _pinnable(record) and not _meets(record, pin)
    ]
    if broken:
        files = " and ".join(dict.fromkeys(place for place, _ in broken))
        raise NoSolutionError(
            "pinned",
            f"{source} has {broken[0][1]}",
            context=[text for _, text in broken[1:_SHOWN]],
            hint=f"change {files}, or make the lock with the pin as a requirement",
        )


def _pinnable(record: Record) -> tuple[str, ...]:
    """Return the names under which a package is pinned: a wheel also by its project."""
    return (record.name, *record.pypi_names[:1]) if record.ecosystem == "wheel" else (record.name,)


def _meets(record: Record, pin: Requirement) -> bool:
    """Whether a package meets a pin; a wheel has no build, and only the version counts."""
    if not pin.accepts(record.version):
        return False
    is_conda = record.ecosystem == "conda" and pin.conda is not None
    return not is_conda or pin.conda.accepts_build(record.build, record.build_number, record.origin, record.subdir)  # type: ignore[union-attr]


def plan_exact(
    state: PrefixState,
    packages: Sequence[Resolved],
    target: Target,
    prefix: Path,
    *,
    keeps: bool = False,
    keeps_conda: bool = False,
    has_requests: bool = True,
) -> Plan:
    """Return the plan after which the prefix has exactly these packages.

    What is installed already stays; what another installer replaced or removed is installed again, and distributions
    of other installers are removed.

    :param keeps: remove nothing. `keeps_conda`: remove no conda package, for a lock of wheels says nothing of them.
    :param has_requests: the packages state who requested them; else the requests of what is installed stay.
    """
    whole = state if keeps else plans.with_unmanaged(state)
    there = {(each.record.ecosystem, each.record.name): each for each in state.installed}
    pairs = [(each, there.get((each.record.ecosystem, each.record.name))) for each in packages]
    wanted = tuple(_as_installed(each, old, has_requests=has_requests) for each, old in pairs)
    again = {each.meta_path for each in displaced(state)}
    if has_requests:
        again |= {old.meta_path for new, old in pairs if old is not None and {*old.requested} != {*new.requested}}
    planned = plans.diff(whole, Resolution(target=target, packages=wanted), prefix, again=again)
    staying = [
        step.old
        for step in planned.operations
        if isinstance(step, Remove) and (keeps or (keeps_conda and step.old.record.ecosystem == "conda"))
    ]
    left = [each for each in staying if plans.is_of_python(each.record)]
    if left and plans.is_moved(state.python, target.python):
        raise UsageError(
            "kept-of-python",
            f"python changes, and packages to keep are made for the current one: {left[0].record.name}",
            hint="leave --keep out, or remove them first",
        )
    operations = tuple(step for step in planned.operations if not (isinstance(step, Remove) and step.old in staying))
    keep = tuple(each for each in (*planned.keep, *staying) if each in state.installed)
    there_after = (*(each.record for each in keep), *(each.record for each in wanted))
    python = planned.python if python_of(there_after) is not None else None
    return replace(planned, operations=operations, keep=keep, python=python or target.python)


def _as_installed(wanted: Resolved, old: Installed | None, *, has_requests: bool) -> Resolved:
    """Return the package with the installed record, if that is of the same archive: it states more than a lock does."""
    if old is None:
        return wanted
    requested = wanted.requested if has_requests else old.requested
    if not plans.is_same(old.record, wanted.record):
        return replace(wanted, requested=requested)
    unstated = wanted.unstated if old.record.ecosystem == "wheel" else frozenset()
    return replace(wanted, record=old.record, requested=requested, unstated=unstated)
