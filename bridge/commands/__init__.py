"""What each command does, over the ports of a session. Nothing here prints; what is written is written by others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bridge import algebra, documents, prefix, transaction
from bridge import audit as audits
from bridge import plan as plans
from bridge import resolve as resolver
from bridge.apply import Outcome, Supply, change_prefix, create_prefix
from bridge.audit.inventory import Inventory, Ownership, Reasons, ownership
from bridge.audit.inventory import inventory as list_inventory
from bridge.audit.inventory import why as give_reasons
from bridge.commands.asked import Asked, asked
from bridge.commands.conversion import convert
from bridge.errors import BridgeError, NoSolutionError, OwnershipError, UsageError
from bridge.fs import fingerprint
from bridge.model import Plan, PrefixState, Resolution
from bridge.repair import plan_repair
from bridge.session import Session
from converters.names import NameMap
from converters.record import Record

__all__ = [
    "Asked",
    "Outcome",
    "asked",
    "audit",
    "convert",
    "create",
    "install",
    "inventory",
    "owner",
    "recover",
    "remove",
    "repair",
    "resolve",
    "resolve_batch",
    "update",
    "why",
]


_Planned = Callable[[], tuple[PrefixState, Plan, Supply]]


def resolve(wanted: Asked, session: Session) -> Resolution:
    """One joint solve on the session's target."""
    channels = session.channels()
    return session.resolve(wanted, channels, session.names(channels))


def resolve_batch(path: Path, session: Session) -> Iterator[dict[str, object]]:
    """Solve the requests of a JSON-lines file, one document each, in order; a request that fails is a document too."""
    channels = session.channels()
    catalog = session.catalog(channels, session.names(channels))
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("batch-file", f"{path} cannot be read", context=(str(error),)) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        request = _request(line, f"{path}:{number}")
        try:
            conda = [algebra.conda_requirement(text) for text in request["conda"]]
            pypi = [algebra.parse_pypi(text) for text in request["pypi"]]
            found = resolver.resolve([*conda, *pypi], catalog)
        except BridgeError as error:
            yield {"id": request["id"], **documents.error(error)}
        else:
            yield {"id": request["id"], **documents.resolution(found)}


def _request(line: str, where: str) -> dict[str, list[str]]:
    try:
        request = json.loads(line)
        conda, pypi = request.get("conda", []), request.get("pypi", [])
        if not all(isinstance(text, str) for text in [*conda, *pypi]):
            raise TypeError("a requirement is no text")
    except (ValueError, TypeError, AttributeError) as error:
        hint = 'a request is {"id": …, "conda": ["numpy >=2"], "pypi": ["rich>=13"]}'
        raise UsageError("batch-file", f"{where} is no request", context=(str(error),), hint=hint) from error
    return {"id": request.get("id"), "conda": conda, "pypi": pypi}


def create(path: Path, wanted: Asked, session: Session, *, is_dry_run: bool = False) -> Outcome:
    """A new environment. Raises `OwnershipError` (`prefix-exists`), `UsageError` (`prefix-parent`) before all else."""
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise OwnershipError(
            "prefix-exists",
            f"{path} is there already",
            hint=f"add to it with: bridge install -p {path}, or choose another path",
        )
    above = next(folder for folder in path.parents if os.path.lexists(folder))
    if not above.is_dir():
        raise UsageError(
            "prefix-parent", f"{path} cannot be made: {above} is no folder", hint="choose another path with -p DIR"
        )
    channels = session.channels()
    names = session.names(channels)
    resolution = session.resolve(wanted, channels, names)
    session.warnings += resolution.warnings
    planned = plans.diff(PrefixState(prefix=path), resolution, path)
    if is_dry_run:
        return Outcome(plan=planned)
    return create_prefix(planned, Supply(session=session, channels=channels, names=names))


def install(path: Path, wanted: Asked, session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Add requirements. What is installed is kept where it can be, and never dropped silently for want of a root."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state = prefix.require(path)
        supply = _supply(session, state)
        resolution = _resolve_with(state, wanted, supply, kept=_kept(state))
        session.warnings += resolution.warnings
        return state, plans.diff(state, resolution, path), supply

    return _run(path, planned, session, is_dry_run=is_dry_run)


def update(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Bring packages to the newest that fits; without names, all of them."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state = prefix.require(path)
        supply = _supply(session, state)
        moving = {each.meta_path for name in names for each in plans.matching(state, name)}
        staying = [each for each in state.installed if names and each.meta_path not in moving]
        resolution = _resolve_with(
            state, Asked(requirements=()), supply, kept=_kept(replace(state, installed=tuple(staying)))
        )
        session.warnings += resolution.warnings
        return state, plans.diff(state, resolution, path), supply

    return _run(path, planned, session, is_dry_run=is_dry_run)


def remove(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Take packages away, and what came only for their sake. Needs no network."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state = prefix.require(path)
        return state, plans.removal(state, session.target, names), _supply(session, state)

    return _run(path, planned, session, is_dry_run=is_dry_run)


def _run(path: Path, planned: _Planned, session: Session, *, is_dry_run: bool) -> Outcome:
    prefix.require(path)
    if is_dry_run:
        return Outcome(plan=planned()[1])
    return change_prefix(path, planned, session)


def _supply(session: Session, state: PrefixState) -> Supply:
    channels = session.channels(state)
    return Supply(session=session, channels=channels, names=session.names(channels, state))


def _kept(state: PrefixState) -> dict[str, str]:
    """Installed packages by the resolver's identifiers, to be kept where they do."""
    kept: dict[str, str] = {}
    for installed in state.installed:
        record = installed.record
        if record.ecosystem == "conda":
            kept[record.name] = record.identity
        elif record.pypi_names:
            kept[f"pypi:{record.pypi_names[0]}"] = record.filename
    return kept


def _resolve_with(state: PrefixState, wanted: Asked, supply: Supply, *, kept: Mapping[str, str]) -> Resolution:
    """Solve for the new requirements, those of before, and the presence of all that is installed.

    Where that has no solution, what was never asked for may go; where it still has none, the explanation is of this.
    """
    fresh = {requirement.name for requirement in wanted.requirements}
    before = [
        algebra.parse(text)
        for installed in state.installed
        for text in installed.requested
        if algebra.parse(text).name not in fresh
    ]
    presence = [_presence(record) for record in (each.record for each in state.installed)]
    everything = replace(wanted, requirements=(*wanted.requirements, *before))
    session, channels, names = supply.session, supply.channels, supply.names
    try:
        return session.resolve(everything, channels, names, present=presence, state=state, kept=kept)
    except NoSolutionError:
        return session.resolve(everything, channels, names, state=state, kept=kept)


def _presence(record: Record) -> algebra.Requirement:
    if record.ecosystem == "wheel" and record.pypi_names:
        return algebra.parse_pypi(record.pypi_names[0])
    return algebra.conda_requirement(record.name)


def audit(path: Path, session: Session) -> audits.Report:
    """Read, hash and judge an environment."""
    state = prefix.require(path)
    return audits.audit(path, session.target, _local_names(session, state))


def repair(path: Path, found: audits.Report, session: Session) -> Outcome:
    """Install again what an audit found damaged, in one transaction."""
    return change_prefix(path, lambda: plan_repair(path, found, lambda state: _supply(session, state)), session)


def inventory(path: Path, session: Session) -> Inventory:
    """What is installed, and from where."""
    state = prefix.require(path)
    return list_inventory(state, _local_names(session, state))


def why(path: Path, name: str, session: Session) -> Reasons:
    """Why a package is there. Raises `UsageError` (`not-installed`)."""
    state = prefix.require(path)
    return give_reasons(state, session.target, _local_names(session, state), name)


def owner(path: Path, wanted: str) -> Ownership:
    """Who owns a path, given relative to the prefix or to the working directory, or absolute.

    Raises `UsageError` (`outside-environment`) where it names nothing in the prefix.
    """
    state = prefix.require(path)
    relative = _in_prefix(path, wanted)
    return ownership(state, relative, fingerprint(path, relative))


def _in_prefix(path: Path, wanted: str) -> str:
    named = Path(os.path.abspath(wanted))
    for root in (path, Path(os.path.realpath(path))):
        if named.is_relative_to(root):
            return named.relative_to(root).as_posix()
    relative = Path(os.path.normpath(wanted))
    if relative.is_absolute() or relative.parts[:1] == ("..",):
        raise UsageError(
            "outside-environment",
            f"{wanted} does not lie in {path}",
            hint="give a path in the environment, relative to it or absolute; name the environment with -p DIR",
        )
    return relative.as_posix()


def recover(path: Path) -> transaction.Recovery:
    """Settle an interrupted transaction."""
    prefix.require(path)
    return transaction.recover(path)


def _local_names(session: Session, state: PrefixState) -> NameMap:
    return session.names(session.channels(state), state)
