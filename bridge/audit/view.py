"""The input of the checks: the records, the observed files, and the discrepancies between them. Pure."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal

from bridge.audit.dependencies import PrefixRecords
from bridge.audit.look.inspection import CacheEvidence, Inspection
from bridge.audit.look.observation import Observation, Observed
from bridge.audit.policy import names_conda, stale_distributions, unowned, unread_names
from bridge.model import Distribution, Fingerprint, PrefixState
from bridge.paths import EMPTY_SHA256
from bridge.prefix.claims import Claim, Claims, Owner, bytecode_source, distribution_owner, is_bytecode
from converters.deferred import dataclass
from converters.projects import canonicalize_name
from converters.target import Target

__all__ = ["Discrepancy", "SameContent", "View", "make_view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SameContent:
    """The only package that promises the observed content, for another path."""

    owner: Owner
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A claim that does not match the disk.

    :param by: another owner of the *same* path whose claim matches: it overwrote this one.
    :param same_content: set if nobody else claims the path, and one package promises this content for another path.
    """

    claim: Claim
    kind: Literal["missing", "different", "unreadable"]
    observed: Observed | None = None
    by: Owner | None = None
    same_content: SameContent | None = None


class View:
    """Everything that a check may use. What compares claims with the disk is made when it is first used."""

    def __init__(
        self, records: PrefixRecords, observed: Observation, interrupted: str | None, inspection: Inspection
    ) -> None:
        """:param interrupted: the description of an unsettled transaction; `None` if there is none."""
        self.records = records
        self.observed = observed
        self.interrupted = interrupted
        self.inspection = inspection

    @cached_property
    def discrepancies(self) -> tuple[Discrepancy, ...]:
        """The claims that the disk contradicts, in the order of their paths."""
        behind = {
            id(self.claims.answering[path]) for path, kept in self.stale.items() if not self.claims.coverage[kept.path]
        }
        # For a dist-info that pip left behind, report only who overwrote its files.
        return tuple(each for each in self._all_discrepancies if each.by or id(each.claim.owner) not in behind)

    @cached_property
    def _all_discrepancies(self) -> tuple[Discrepancy, ...]:
        # A file with another prefix in it has its package's content: report the prefix, not the hash.
        return tuple(
            each
            for each in _discrepancies(self.state, self.claims, self.observed, self.inspection.caches)
            if each.kind != "different" or each.claim.entry.path not in self.inspection.embedded
        )

    @cached_property
    def stale(self) -> Mapping[str, Distribution]:
        """Path of a dist-info left over by an upgrade → the project's dist-info to keep."""

        def broken() -> Iterator[Owner]:  # Only for a project with several dist-infos the files count.
            yield from (each.claim.owner for each in self._all_discrepancies)

        return stale_distributions(self.state, self.claims, broken())

    @cached_property
    def incomplete(self) -> frozenset[str]:
        """The dist-infos without a record that lack a file of theirs, or have it changed; bytecode does not count."""
        broken = (each.claim for each in self._all_discrepancies if not is_bytecode(each.claim.entry.path))
        return frozenset(each.owner.distribution.path for each in broken if each.owner.distribution is not None)

    @cached_property
    def overwriters(self) -> Mapping[Owner, Owner]:
        """Owner with a record → an unmanaged owner that claims one of its paths with other content."""
        return _overwriters(self.claims)

    @cached_property
    def unowned(self) -> Mapping[str, int]:
        """Each unowned file, or the topmost directory without owned files → the number of files."""
        return unowned(self.state, self.claims, self.observed)

    @cached_property
    def unread(self) -> frozenset[str]:
        """The native names of the unreadable records of conda-meta."""
        return unread_names(self.state)

    @property
    def state(self) -> PrefixState:
        return self.records.state

    @property
    def claims(self) -> Claims:
        return self.records.claims

    @property
    def target(self) -> Target:
        return self.records.target

    @property
    def has_records(self) -> bool:
        """Whether conda-meta has any record. Without one, the interpreter's files have no owner."""
        return bool(self.state.installed)

    @property
    def is_environment(self) -> bool:
        """Whether this is an environment (conda's or a virtual one), and not a base interpreter."""
        return self.has_records or bool(self.inspection.venv)

    @property
    def real_prefix(self) -> str:
        return self.inspection.real_prefix or str(self.state.prefix)

    def owner(self, path: str) -> Owner | None:
        """The owner of a path: the first that claims it, or its module, or the dist-info that contains it."""
        owned = self.claims.by_path
        owner = owned.owner(path) or owned.owner(bytecode_source(path) or "")
        return owner or self.claims.answering.get(path.rpartition("/")[0])

    def is_of_unread(self, distribution: Distribution) -> bool:
        """Whether a dist-info may belong to an unreadable record, which is reported already."""
        project = canonicalize_name(distribution.name)
        is_named = not self.unread.isdisjoint({project, self.records.names.native_name(project)})
        return bool(self.unread) and (is_named or names_conda(distribution.installer))

    def is_linked(self, path: str) -> bool:
        """Whether the path is a link. Its target was not walked."""
        return self.observed.kind(path) == "symlink"


def make_view(
    records: PrefixRecords,
    observed: Mapping[str, Observed],
    interrupted: str | None = None,
    inspection: Inspection | None = None,
) -> View:
    """The view of what was read. Nothing is compared before a check asks for it."""
    observed = Observation.of(observed, records.claims.by_path)
    return View(records, observed, interrupted, inspection or Inspection())


def _overwriters(claims: Claims) -> Mapping[Owner, Owner]:
    overwriters: dict[Owner, Owner] = {}
    for _, group in claims.by_path.shared:
        last = group[-1]  # Those without a record come last in a group.
        if last.owner.distribution is None:
            continue
        for claim in group:
            if claim.owner.installed is not None and claim.entry.fingerprint.sha256 != last.entry.fingerprint.sha256:
                overwriters.setdefault(claim.owner, last.owner)
    return overwriters


def _discrepancies(
    state: PrefixState, claims: Claims, observed: Observation, caches: CacheEvidence
) -> Iterator[Discrepancy]:
    broken = [
        (claim, kind, actual)
        for path in observed.suspects()
        for actual in (observed.get(path),)
        for claim in claims.by_path[path]
        for kind in (_judge(claim.entry.fingerprint, actual) or _judge_link(claim, actual, claims, observed),)
        if kind is not None
    ]
    differing = [actual.fingerprint.sha256 for _, kind, actual in broken if kind == "different" and actual is not None]
    promised = _promised(claims, {digest for digest in differing if digest is not None and digest != EMPTY_SHA256})
    replaced = _replaced(state, claims, observed) if differing else {}
    upgraded = _upgraded(claims) if broken else {}
    for claim, kind, actual in broken:
        by, same_content = None, None
        digest = actual.fingerprint.sha256 if actual else None
        is_link = claim.entry.fingerprint.kind == "symlink"
        if kind == "different" and digest is not None and not is_link:
            by = _writer(claim, digest, claims, replaced) or _cached_writer(claim, caches.owners.get(digest, ()))
            if by is None and "-info/" not in claim.entry.path:  # INSTALLER says `pip` in many.
                cached = caches.owners.get(digest, ())
                same_content = _same_content(claim, promised.get(digest, [])) or _cached_same_content(claim, cached)
        elif kind == "missing":
            by = upgraded.get(claim.owner)
        yield Discrepancy(claim=claim, kind=kind, observed=actual, by=by, same_content=same_content)


def _judge(promised: Fingerprint, observed: Observed | None) -> Literal["missing", "different", "unreadable"] | None:
    """How a file differs from the record; `None` if it does not, or if the record only says that the path exists.

    Sizes are not compared: conda-meta has the size before the prefix was written in. A link and a file with the same
    content are equal: conda may create soft links, and copying an environment may replace links by files.
    """
    if observed is None:
        return "missing"
    kind = observed.fingerprint.kind
    if promised.kind == "symlink":
        is_retargeted = kind == "symlink" and promised.link not in {None, observed.fingerprint.link}
        return "different" if is_retargeted else None
    if promised.kind == "directory":
        return "different" if kind == "file" else None
    if kind == "directory" or observed.is_dangling:
        return "different"
    if promised.sha256 is None:
        return None
    if observed.problem or observed.fingerprint.sha256 is None:
        return "unreadable"
    return "different" if observed.fingerprint.sha256 != promised.sha256 else None


def _judge_link(
    claim: Claim, actual: Observed | None, claims: Claims, observed: Mapping[str, Observed]
) -> Literal["different"] | None:
    """Whether a link has another target than recorded; the record has the sha256 of its target or of its text.

    If the target is modified, report the target, not the link.
    """
    if actual is None or actual.fingerprint.link is None or claim.entry.fingerprint.kind != "symlink":
        return None
    packed, placed, led_to = claim.entry.packed, claim.entry.placed, actual.fingerprint.sha256
    if placed is not None and hashlib.sha256(os.fsencode(actual.fingerprint.link)).hexdigest() == placed:
        return None
    if placed is not None and packed is not None:  # rattler writes both: this is the hash of the text.
        return None if placed == led_to else "different"
    promised = placed or packed
    if promised is None or led_to == promised:
        return None
    target = _target(claim.entry.path, observed)
    there = claims.by_path.get(target or "", ())
    if any(promised in {other.entry.packed, other.entry.fingerprint.sha256} for other in there):
        return None
    if actual.is_dangling or led_to is None:
        is_elsewhere = actual.is_dangling and target not in claims.by_path and _is_promised(claims, promised)
        return "different" if is_elsewhere else None
    # Another package may have been upgraded since the link was recorded.
    is_of_other = bool(there) and all(other.owner is not claim.owner for other in there)
    if any(other.entry.fingerprint.sha256 not in {None, led_to} for other in there):
        return None
    return "different" if not is_of_other or _is_promised(claims, promised) else None


def _is_promised(claims: Claims, digest: str) -> bool:
    """Whether some record promises a file with this sha256."""
    return any(True for _ in claims.by_path.promising({digest}))


def _target(path: str, observed: Mapping[str, Observed]) -> str | None:
    """The target of a link in the prefix; `None` if it is outside or circular."""
    for _ in range(16):
        target = observed.get(path)
        if target is None or target.fingerprint.link is None:
            return path
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target.fingerprint.link))
        if path.startswith(("/", "..")):
            return None
    return None


def _writer(claim: Claim, digest: str, claims: Claims, replaced: Mapping[str, list[tuple[Owner, str]]]) -> Owner | None:
    path = claim.entry.path
    for other in claims.by_path[path]:
        if other.entry.fingerprint.sha256 == digest:  # The claim itself promises another.
            return other.owner
    return next((owner for owner, promised in replaced.get(path, ()) if promised == digest), None)


def _promised(claims: Claims, wanted: set[str]) -> Mapping[str, list[Claim]]:
    """Digest → the claims that promise it."""
    promised: dict[str, list[Claim]] = {}
    for claim in claims.by_path.promising(wanted) if wanted else ():
        promised.setdefault(claim.entry.fingerprint.sha256 or "", []).append(claim)
    return promised


def _same_content(claim: Claim, same: Sequence[Claim]) -> SameContent | None:
    """The only owner that promises the content for another path; of several, the only one with that file name."""
    others = [each for each in same if each.entry.path != claim.entry.path]
    for candidates in (others, [each for each in others if _name(each.entry.path) == _name(claim.entry.path)]):
        if candidates and len({id(each.owner) for each in candidates}) == 1:
            return SameContent(owner=candidates[0].owner, path=candidates[0].entry.path)
    return None


def _cached_writer(claim: Claim, writers: Sequence[tuple[str, str]]) -> Owner | None:
    """The cached package with this content at this path (a wheel's paths begin at site-packages)."""
    path = claim.entry.path
    labels = {label for label, there in writers if label != claim.owner.label and f"/{path}".endswith(f"/{there}")}
    return _of_cache(labels.pop()) if len(labels) == 1 else None


def _cached_same_content(claim: Claim, writers: Sequence[tuple[str, str]]) -> SameContent | None:
    paths = {label: path for label, path in writers if label != claim.owner.label}
    if len(paths) != 1:
        return None
    ((label, path),) = paths.items()
    return SameContent(owner=_of_cache(label), path=path)


def _of_cache(label: str) -> Owner:
    source, _, named = label.partition(":")
    name = named.rsplit("-", 2 if source == "conda" else 1)[0]
    return Owner(label=label, package=name, source="conda" if source == "conda" else "wheel")


def _upgraded(claims: Claims) -> Mapping[Owner, Owner]:
    """Owner with a record → the unmanaged dist-info of one of its projects: pip installed another version."""
    fresh: dict[str, Owner] = {canonicalize_name(owner.package): owner for owner in claims.unmanaged}
    upgraded = {}
    for owner in claims.recorded:
        projects = owner.installed.record.pypi_names if owner.installed else ()
        by = next((fresh[each] for each in (*projects, canonicalize_name(owner.package)) if each in fresh), None)
        if by is not None:
            upgraded[owner] = by
    return upgraded


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _replaced(
    state: PrefixState, claims: Claims, observed: Mapping[str, Observed]
) -> Mapping[str, list[tuple[Owner, str]]]:
    """Path → the hashes of a dist-info that was installed *over* that of a record, in the same directory.

    pip installs the same version of a project in a dist-info of the same name: the record still covers it, but RECORD
    has other content than recorded, and INSTALLER names the installer.
    """
    replaced: dict[str, list[tuple[Owner, str]]] = {}
    for distribution in state.distributions:
        listing = f"{distribution.path}/RECORD"
        promised = [claim.entry.fingerprint.sha256 for claim in claims.by_path.get(listing, ())]
        actual = observed.get(listing)
        if not claims.coverage[distribution.path] or actual is None or actual.fingerprint.sha256 in {None, *promised}:
            continue
        if not distribution.entries or names_conda(distribution.installer):  # Damaged, and not replaced.
            continue
        owner = distribution_owner(distribution)
        replaced.setdefault(listing, []).append((owner, actual.fingerprint.sha256 or ""))
        for entry in distribution.entries or ():
            if entry.fingerprint.sha256 is not None:
                replaced.setdefault(entry.path, []).append((owner, entry.fingerprint.sha256))
    return replaced
