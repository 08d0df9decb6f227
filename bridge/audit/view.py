"""What the checks look at: the records, what lies on disk, and the places where the two disagree. All of it is pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bridge.audit.claims import Claim, Claims, Owner, distribution_owner
from bridge.audit.dependencies import Holdings
from bridge.audit.observed import Observed
from bridge.audit.territory import unowned
from bridge.model import Fingerprint, PrefixState
from converters.target import Target

__all__ = ["Discrepancy", "Twin", "View", "make_view"]

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # the SHA-256 of no bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """The one package that promises the very bytes that were found, for another path."""

    owner: Owner
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A claim that the disk does not keep.

    :param by: another owner of the *same* path whose promise the bytes do keep: it wrote over this one.
    :param twin: where nobody else claims the path, but these bytes are promised for another one.
    """

    claim: Claim
    kind: Literal["missing", "different", "unreadable"]
    observed: Observed | None = None
    by: Owner | None = None
    twin: Twin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything a check may look at.

    :param interrupted: what is known of an unsettled transaction; `None`: there is none.
    :param intruders: owner with a record → an unmanaged owner that claims a path of its with other bytes.
    :param unowned: each unowned file, or the topmost directory that holds nothing owned → how many files it stands for.
    """

    holdings: Holdings
    observed: Mapping[str, Observed]
    interrupted: str | None
    discrepancies: tuple[Discrepancy, ...]
    intruders: Mapping[Owner, Owner]
    unowned: Mapping[str, int]

    @property
    def state(self) -> PrefixState:
        return self.holdings.state

    @property
    def claims(self) -> Claims:
        return self.holdings.claims

    @property
    def target(self) -> Target:
        return self.holdings.target

    @property
    def has_records(self) -> bool:
        """Whether conda-meta holds any record: without, nobody vouches for the files of the interpreter."""
        return bool(self.state.installed)


def make_view(holdings: Holdings, observed: Mapping[str, Observed], interrupted: str | None = None) -> View:
    """Hold every claim against what was observed."""
    return View(
        holdings=holdings,
        observed=observed,
        interrupted=interrupted,
        discrepancies=tuple(_discrepancies(holdings.state, holdings.claims, observed)),
        intruders=_intruders(holdings.claims),
        unowned=unowned(holdings.state, holdings.claims, observed),
    )


def _intruders(claims: Claims) -> Mapping[Owner, Owner]:
    found: dict[Owner, Owner] = {}
    for group in claims.by_path.values():
        last = group[-1]  # Those without a record come last in a group.
        if len(group) == 1 or last.owner.distribution is None:
            continue
        for claim in group:
            if claim.owner.installed is not None and claim.entry.fingerprint.sha256 != last.entry.fingerprint.sha256:
                found.setdefault(claim.owner, last.owner)
    return found


def _discrepancies(state: PrefixState, claims: Claims, observed: Mapping[str, Observed]) -> Iterator[Discrepancy]:
    broken = [
        (claim, kind, found)
        for path, group in claims.by_path.items()
        for found in (observed.get(path),)
        for claim in group
        for kind in (_judge(claim.entry.fingerprint, found),)
        if kind is not None
    ]
    differing = [found.fingerprint.sha256 for _, kind, found in broken if kind == "different" and found is not None]
    twins = _twins(claims, {digest for digest in differing if digest is not None and digest != EMPTY})
    replaced = _replaced(state, claims, observed) if differing else {}
    for claim, kind, found in broken:
        by, twin = None, None
        digest = found.fingerprint.sha256 if found else None
        if kind == "different" and digest is not None:
            by = _writer(claim, digest, claims, replaced)
            twin = twins.get(digest) if by is None else None
        yield Discrepancy(claim=claim, kind=kind, observed=found, by=by, twin=twin)


def _judge(promised: Fingerprint, found: Observed | None) -> Literal["missing", "different", "unreadable"] | None:
    """How a promise is broken; `None` where it is kept, or where the record promises no more than that a path exists.

    A size alone decides nothing: conda-meta has the size before the prefix was patched in. Link and file stand for each
    other where the content is the same: conda may link softly, and copies of an environment dissolve links.
    """
    if found is None:
        return "missing"
    kind = found.fingerprint.kind
    if promised.kind == "symlink":
        is_retargeted = kind == "symlink" and promised.link not in {None, found.fingerprint.link}
        return "different" if is_retargeted else None
    if promised.kind == "directory":
        return "different" if kind == "file" else None
    if kind == "directory" or found.is_dangling:
        return "different"
    if promised.sha256 is None:
        return None
    if found.problem or found.fingerprint.sha256 is None:
        return "unreadable"
    return "different" if found.fingerprint.sha256 != promised.sha256 else None


def _writer(claim: Claim, digest: str, claims: Claims, replaced: Mapping[str, list[tuple[Owner, str]]]) -> Owner | None:
    path = claim.entry.path
    for other in claims.by_path[path]:
        if other.entry.fingerprint.sha256 == digest:  # The claim itself promises another.
            return other.owner
    return next((owner for owner, promised in replaced.get(path, ()) if promised == digest), None)


def _twins(claims: Claims, wanted: set[str]) -> Mapping[str, Twin]:
    """Digest → the one owner that promises it; a digest that several promise identifies nobody."""
    found: dict[str, list[Claim]] = {}
    for group in claims.by_path.values() if wanted else ():
        for claim in group:
            digest = claim.entry.fingerprint.sha256
            if digest is not None and digest in wanted:
                found.setdefault(digest, []).append(claim)
    return {
        digest: Twin(owner=same[0].owner, path=same[0].entry.path)
        for digest, same in found.items()
        if len({id(claim.owner) for claim in same}) == 1
    }


def _replaced(
    state: PrefixState, claims: Claims, observed: Mapping[str, Observed]
) -> Mapping[str, list[tuple[Owner, str]]]:
    """Path → what a dist-info says that was installed *over* the one of a record, in the same directory.

    pip puts the same version of a project in a dist-info of the same name: the record still covers it, but RECORD is no
    longer the one that the record promised, and INSTALLER names who wrote it.
    """
    found: dict[str, list[tuple[Owner, str]]] = {}
    for distribution in state.distributions:
        listing = f"{distribution.path}/RECORD"
        promised = [claim.entry.fingerprint.sha256 for claim in claims.by_path.get(listing, ())]
        lies = observed.get(listing)
        if not claims.coverage[distribution.path] or lies is None or lies.fingerprint.sha256 in {None, *promised}:
            continue
        owner = distribution_owner(distribution)
        for entry in distribution.entries or ():
            if entry.fingerprint.sha256 is not None:
                found.setdefault(entry.path, []).append((owner, entry.fingerprint.sha256))
    return found
