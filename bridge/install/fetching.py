"""What a plan brings: its archives fetched, verified and judged, and the inputs of staging them; its link scripts.

The order is that of decision 0001: every archive is fetched and hashed (exit 5), its structure judged (3), a wheel's
metadata compared with what was solved (5), every path of the plan judged against the prefix and the plan itself (4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from bridge import __version__
from bridge.archive.paths import Caution
from bridge.archive.refusal import shown
from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.cache.blobs import sha256_of
from bridge.cache.conda_manifests import CondaManifests
from bridge.cache.wheels import WheelStore
from bridge.channels._rattler import current_subdir
from bridge.channels.sources import same_package
from bridge.errors import BridgeError, IntegrityError, InterruptedPrefixError, NetworkError
from bridge.fetch.urls import file_name, local_path
from bridge.install.link_scripts import Traces, run_scripts, scripts_of
from bridge.install.manifest import Manifest, predict, site_packages_after
from bridge.install.notices import notices, refuse_startup_code
from bridge.install.ownership import judge
from bridge.install.sources import Sources, command_line
from bridge.install.staging import StageInputs, Unpacking
from bridge.model import Fingerprint, IndexFile, Plan, PrefixState, Remove, Resolved
from bridge.prefix.claims import incoming
from bridge.resolve.ports import RunPort
from bridge.transaction.commit import Transaction
from bridge.transaction.journal import now
from converters.record import Record
from converters.translate import translate
from converters.wheel import WheelInfo

__all__ = ["FetchedPlan", "Scripts", "fetch", "fetch_archive", "remarks_of", "stage_inputs"]

_MANY_BYTES = 1 << 40  # of what nobody knows the size


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPlan:
    """A plan whose archives are here: sdists became the wheels that were built of them."""

    plan: Plan
    archives: Mapping[str, Path]
    manifests: Mapping[str, Manifest]
    unpacked: Mapping[str, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The record to install, what its archive holds, and where a wheel lies unpacked."""

    record: Record
    manifest: Manifest
    unpacked: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judges:
    """What judges archives, and remembers."""

    wheels: WheelStore
    packages: CondaManifests


def fetch(plan: Plan, sources: Sources, unpacking: Unpacking | None = None) -> FetchedPlan:
    """Every archive, verified, and what each was judged to hold: each is judged when it is there, errors come in order.

    :param unpacking: begins with the conda packages, each when it was judged; what bridge packed itself, as its hash
        has just shown, while it is judged.
    """
    packages = incoming(plan)
    judging: dict[str, Future[_Judged]] = {}
    cache = sources.session.settings.cache_dir
    judges = _Judges(
        wheels=WheelStore(cache / "unpacked", root=cache), packages=CondaManifests(cache / "judged", root=cache)
    )

    def judge_one(resolved: Resolved, path: Path) -> _Judged:
        judged = _judged(resolved, path, plan, sources, judges)
        record = judged.record
        if unpacking is not None and record.ecosystem == "conda" and not sources.channels.packed(record):
            unpacking.begin({record.identity: path})
        return judged

    def bring(resolved: Resolved) -> Path:
        path = fetch_archive(resolved.record, sources)
        if unpacking is not None and sources.channels.packed(resolved.record):
            unpacking.begin({resolved.record.identity: path})
        judging[resolved.record.identity] = threads.submit(judge_one, resolved, path)
        return path

    with ThreadPoolExecutor() as threads:
        try:
            # The largest first: what takes longest to judge, and is to be unpacked.
            large = sorted(packages, key=lambda resolved: resolved.record.size or _MANY_BYTES, reverse=True)
            brought = sources.session.client.map(bring, large)
            judged = [judging[resolved.record.identity].result() for resolved in packages]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    records = {old.record.identity: new.record for old, new in zip(packages, judged, strict=True)}
    operations = tuple(
        step
        if isinstance(step, Remove)
        else replace(step, new=replace(step.new, record=records[step.new.record.identity]))
        for step in plan.operations
    )
    return FetchedPlan(
        plan=replace(plan, operations=operations),
        archives={records[each.record.identity].identity: path for each, path in zip(large, brought, strict=True)},
        manifests={each.record.identity: each.manifest for each in judged},
        unpacked={each.record.identity: each.unpacked for each in judged if each.unpacked is not None},
    )


def fetch_archive(record: Record, sources: Sources) -> Path:
    """The verified archive of a record: conda's from its channel, a wheel from its index or built of an sdist.

    Raises what fetching it raises; `NetworkError` (`no-archive`) for a wheel that was adopted and that no index had.
    """
    if record.ecosystem == "wheel" and record.url.endswith(".dist-info"):
        raise NetworkError(
            "no-archive",
            f"{record.name} {record.version} has to be installed again, and there is no archive of it: it was adopted "
            "as it lay there, and no index had it",
            hint="name a wheel of it with the command, or take it away first: "
            f"bridge remove -p {sources.session.settings.prefix} {record.name}",
        )
    if record.ecosystem == "conda":
        return sources.channels.archive(record, sources.session.progress)
    is_built = not record.url.split("#")[0].endswith(".whl")
    file = IndexFile.of_record(record)
    if is_built:
        file = replace(file, filename=file_name(record.url))
    return sources.session.index.fetch(file, sources.session.progress)


def _judged(resolved: Resolved, archive: Path, plan: Plan, sources: Sources, judges: _Judges) -> _Judged:
    """The record to install, and what its archive holds.

    The record is another than what was solved with for an sdist, and for a local file whose index promised no hash.
    """
    record = resolved.record
    local = local_path(record.url)
    if record.sha256 is None and local is not None:
        record = replace(record, sha256=sha256_of(Path(local)), size=Path(local).stat().st_size)
    if record.ecosystem == "conda":
        manifest = judges.packages.judge(
            archive,
            sha256=record.sha256,
            filename=archive.name,
            allow_external_symlinks=sources.session.settings.allow_external_symlinks,
        )
        same_package(record, manifest.index)
        return _Judged(record=record, manifest=manifest)
    is_sdist = not record.filename.endswith(".whl")
    filename = archive.name if is_sdist else record.filename
    wheel, unpacked = _judged_wheel(archive, filename, None if is_sdist else record.sha256, judges.wheels)
    if is_sdist:
        from bridge.sdists.build import check_runs  # noqa: PLC0415 - most runs build nothing

        check_runs(archive, plan.target, record.filename)
    info = WheelInfo.of_record(record, wheel.metadata, filename)
    fetched = replace(translate(info, plan.target, sources.names), name=record.name)
    _same_metadata(record, fetched, is_sdist=is_sdist)
    return _Judged(record=fetched if is_sdist else record, manifest=wheel, unpacked=unpacked)


def _judged_wheel(
    archive: Path, filename: str, sha256: str | None, store: WheelStore
) -> tuple[WheelManifest, Path | None]:
    """What a wheel holds, and where it lies unpacked; one whose hash nobody verified (built here) is not kept."""
    if sha256 is None:
        return check_wheel(archive, filename=filename), None
    return store.judge(archive, filename=filename, sha256=sha256)


def _same_metadata(solved: Record, fetched: Record, *, is_sdist: bool) -> None:
    """What the wheel says must be what was solved with (W61). Raises `IntegrityError` (`metadata-mismatch`).

    The build and the platform of an sdist's wheel are known once it is built, and its backend may spell the
    requirements of an old PKG-INFO otherwise.
    """
    for field in ("version", "requires_python", "requirements", "extras", "build", "subdir"):
        expected, found = getattr(solved, field), getattr(fetched, field)
        if is_sdist and field in ("build", "subdir"):
            continue
        if is_sdist and field in ("requirements", "extras"):
            expected, found = _spelled(expected), _spelled(found)
        if expected != found:
            raise IntegrityError(
                "metadata-mismatch",
                f"{solved.filename} does not say what the index said of it: its {field} differs",
                context=(f"solved with: {expected}", f"the wheel says: {found}", f"index: {solved.origin}"),
                hint="the index serves metadata that is not the wheel's; tell whoever runs it",
            )


def _spelled(texts: Iterable[str]) -> set[str]:
    """Requirements in one spelling, whatever their order; what PEP 508 cannot read stays as it is."""
    found = set()
    for text in texts:
        try:
            found.add(str(Requirement(text)))
        except InvalidRequirement:
            found.add(text)
    return found


def stage_inputs(
    state: PrefixState, sources: Sources, fetched: FetchedPlan, exists: Callable[[str], Fingerprint | None]
) -> StageInputs:
    """What staging needs to know, every path judged against the prefix and the plan; a person is told of the rest.

    :param exists: what lies at a path of the prefix.

    Raises `OwnershipError` (exit 4), and `UnsafeInputError` (`startup-code`) where a person refuses that.
    """
    settings, plan = sources.session.settings, fetched.plan
    site_packages = site_packages_after(plan, state)
    predicted = predict(plan, fetched.manifests, site_packages=site_packages)
    if settings.refuse_startup_code:
        refuse_startup_code(plan, fetched.manifests, predicted, site_packages or "")
    judgement = judge(
        state,
        plan,
        predicted,
        exists,
        adopt=settings.adopt,
        set_aside=settings.set_aside,
        allow_clobber=settings.allow_clobber,
    )
    for notice in notices(state, plan, fetched.manifests, predicted, site_packages or ""):
        sources.session.tell(notice)
    return StageInputs(
        plan=plan,
        state=state,
        archives=fetched.archives,
        manifests=fetched.manifests,
        predicted=predicted,
        judgement=judgement,
        names=sources.names,
        unpacked=fetched.unpacked,
        cache=settings.cache_dir,
        channel_records=sources.channels.known(each.record for each in plan.keep),
        command=command_line(),
        when=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now())),
        version=__version__,
        compiles=settings.compile and plan.target.subdir == current_subdir(),
    )


def remarks_of(fetched: FetchedPlan) -> tuple[str, ...]:
    """What was tolerated in the archives, one line for each package and kind (`docs/archives.md`)."""
    lines = []
    for manifest in fetched.manifests.values():
        kinds: dict[str, list[Caution]] = {}
        for caution in manifest.cautions:
            kinds.setdefault(caution.id, []).append(caution)
        for name, (first, *more) in kinds.items():
            count = f", and {len(more)} more" if more else ""
            lines.append(f"{manifest.filename}: {name}: {first.detail} ({shown(first.path)}{count})")
    return tuple(lines)


class Scripts:
    """The link scripts of one change: run where they are allowed, else named."""

    def __init__(self, prefix: Path, fetched: FetchedPlan, session: RunPort) -> None:
        self._prefix, self._session = prefix, session
        found = scripts_of(fetched.plan, fetched.manifests)
        # No package of today needs a script before it is linked, and there is nothing yet that could be undone.
        is_allowed = session.settings.allow_link_scripts
        self._run = tuple(script for script in found if is_allowed and script.action != "pre-link")
        self.not_run = tuple(str(script) for script in found if script not in self._run)

    def before(self) -> None:
        self._say(run_scripts(self._prefix, self._run, "pre-unlink"))

    def after(self) -> None:
        self._say(run_scripts(self._prefix, self._run, "post-link"))

    def _say(self, messages: Iterable[str]) -> None:
        self._session.warnings += [f"a link script says: {message}" for message in messages]

    @contextmanager
    def undone(self, running: Transaction) -> Iterator[None]:
        """Where the change is undone, what scripts made goes as well, and what they changed is named."""
        traces = Traces(self._prefix) if self._run else None
        try:
            yield
        except BaseException as error:
            # Past the commit, only a signal comes here; and what could not be undone is left to the recovery.
            if traces is not None and running.outcome != "finished" and not isinstance(error, InterruptedPrefixError):
                changed = traces.remove()
                if isinstance(error, BridgeError):
                    left = (f"changed by a link script, and left so: {path}" for path in changed)
                    error.context = (*error.context, *left)
            raise
