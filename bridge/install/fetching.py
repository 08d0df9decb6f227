"""Fetch, verify and check the archives of a plan; prepare staging; run its link scripts.

In the order of decision 0001: every archive is fetched and hashed (exit 5), its structure checked (3), a wheel's
metadata compared with what was solved (5), every path compared with the prefix and the plan (4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from bridge import __version__
from bridge.archive.paths import Caution
from bridge.archive.refusal import shown
from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.cache.blobs import sha256_of
from bridge.cache.packages import PackageStore
from bridge.cache.wheels import WheelStore
from bridge.channels.machine import current_subdir
from bridge.channels.sources import same_package
from bridge.errors import BridgeError, IntegrityError, InterruptedPrefixError, NetworkError, UsageError
from bridge.fetch.urls import file_name, local_path
from bridge.install.link_scripts import Traces, run_scripts, scripts_of
from bridge.install.manifest import Manifest, predict, site_packages_after
from bridge.install.namespaces import yield_namespaces
from bridge.install.notices import notices, refuse_startup_code
from bridge.install.ownership import judge
from bridge.install.plan import with_extras
from bridge.install.ruling import refuse_clobbering
from bridge.install.sources import Sources, command_line
from bridge.install.staging import StageInputs
from bridge.model import Fingerprint, IndexFile, Plan, PrefixState, Remove, Resolved
from bridge.paths import quoted
from bridge.prefix.attested import with_wheel_attestations
from bridge.prefix.claims import incoming
from bridge.requirements.algebra import marker_holds, python_specifier, specifier_accepts
from bridge.requirements.metadata import requirements_of
from bridge.resolve.ports import RunPort
from bridge.resolve.ruling import names_of
from bridge.sdists.compatibility import check_runs
from bridge.sdists.location import pinned, source_of
from bridge.transaction.commit import Transaction
from bridge.transaction.journal import now
from converters.deferred import dataclass, replace
from converters.metadata import CoreMetadata
from converters.projects import canonicalize_name
from converters.record import Record, conda_record
from converters.target import Target
from converters.translate import translate
from converters.wheel import WheelInfo

__all__ = ["FetchedPlan", "Scripts", "fetch", "fetch_archive", "file_of", "remarks_of", "stage_inputs"]

_OF_INDEX = "the index serves metadata of another wheel; report it to its operator"
_OF_SOURCE = "its build adds or changes this; list the field in `project.dynamic` of its pyproject.toml"
_MANY_BYTES = 1 << 40  # assumed for an unknown size


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPlan:
    """A plan with its archives on disk; sdists are replaced by the wheels built from them."""

    plan: Plan
    archives: Mapping[str, Path]
    manifests: Mapping[str, Manifest]
    unpacked: Mapping[str, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """The record to install, the content of its archive, and the path of the unpacked package in the cache."""

    record: Record
    manifest: Manifest
    unpacked: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checkers:
    """Check archives, and cache the results."""

    wheels: WheelStore
    packages: PackageStore


def fetch(plan: Plan, sources: Sources) -> FetchedPlan:
    """Fetch and verify every archive, and check and unpack each as soon as it arrives, into the cache.

    Errors are raised in the order of the plan.
    """
    packages = incoming(plan)
    pending: dict[str, Future[_Checked]] = {}
    cache = sources.session.settings.cache_dir
    checkers = _Checkers(wheels=WheelStore(cache / "unpacked", root=cache), packages=PackageStore(cache))

    def bring(resolved: Resolved) -> Path:
        sources.session.check()
        path = fetch_archive(resolved.record, sources)
        pending[resolved.record.identity] = threads.submit(_checked, resolved, path, plan, sources, checkers)
        return path

    with ThreadPoolExecutor() as threads:
        try:
            # Largest first: those take longest to check and unpack.
            large = sorted(packages, key=lambda resolved: resolved.record.size or _MANY_BYTES, reverse=True)
            brought = sources.session.client.map(bring, large)
            checked = [pending[resolved.record.identity].result() for resolved in packages]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    records = {old.record.identity: new.record for old, new in zip(packages, checked, strict=True)}
    operations = tuple(
        step
        if isinstance(step, Remove)
        else replace(step, new=replace(step.new, record=records[step.new.record.identity]))
        for step in plan.operations
    )
    fetched = replace(plan, operations=operations)
    return FetchedPlan(
        plan=with_extras(fetched) if any(each.unstated for each in packages) else fetched,
        archives={records[each.record.identity].identity: path for each, path in zip(large, brought, strict=True)},
        manifests={each.record.identity: each.manifest for each in checked},
        unpacked={each.record.identity: each.unpacked for each in checked if each.unpacked is not None},
    )


def fetch_archive(record: Record, sources: Sources) -> Path:
    """Return the verified archive of a record: conda's from its channel, a wheel from its index or built from an sdist.

    Raises what fetching raises; `NetworkError` (`no-archive`) for an adopted wheel that no index had.
    """
    if record.ecosystem == "wheel" and record.url.endswith(".dist-info"):
        raise NetworkError(
            "no-archive",
            f"{record.name} {record.version} must be reinstalled, but has no archive: it was adopted as found, and no "
            "index had it",
            hint="give the command a wheel of it, or remove it first: "
            f"bridge remove -p {quoted(sources.session.settings.prefix)} {record.name}",
        )
    if record.ecosystem == "conda":
        return sources.channels.archive(record, sources.session.progress)
    file = file_of(record)
    if source_of(record.url) is None and not record.url.split("#")[0].endswith(".whl"):  # It was built from an sdist.
        file = replace(file, filename=file_name(record.url))
    return sources.session.index.fetch(file, sources.session.progress)


def file_of(record: Record) -> IndexFile:
    """Return the file of a wheel's record: of a repository at the recorded commit, wherever its branch is now."""
    return replace(IndexFile.of_record(record), url=pinned(record.url, record.revision))


def _checked(resolved: Resolved, archive: Path, plan: Plan, sources: Sources, checkers: _Checkers) -> _Checked:
    """Return the record to install and the content of its archive.

    The record differs from the solved one for an sdist, and for a local file without a hash.
    """
    record = resolved.record
    local = local_path(record.url)
    is_source = source_of(record.url) is not None
    if record.sha256 is None and local is not None and not is_source:
        record = replace(record, sha256=sha256_of(Path(local)), size=Path(local).stat().st_size)
    if record.ecosystem == "conda":
        manifest, unpacked = checkers.packages.check(
            archive,
            sha256=record.sha256,
            filename=archive.name,
            allow_external_symlinks=sources.session.settings.allow_external_symlinks,
        )
        same_package(record, manifest.index)
        if resolved.unstated:
            own = conda_record(manifest.index, subdir=record.subdir)
            record = replace(record, **{field: getattr(own, field) for field in resolved.unstated})
            record = replace(record, size=record.size or archive.stat().st_size)
        record = with_wheel_attestations(record, manifest.index)
        return _Checked(record=record, manifest=manifest, unpacked=unpacked)
    is_sdist = is_source or not record.filename.endswith(".whl")
    filename = archive.name if is_sdist else record.filename
    wheel, unpacked = _checked_wheel(archive, filename, None if is_sdist else record.sha256, checkers.wheels)
    if is_sdist:
        check_runs(archive, plan.target, record.filename)
    info = WheelInfo.of_record(record, wheel.metadata, filename)
    fetched = replace(translate(info, plan.target, sources.names), name=record.name, others=record.others)
    if resolved.unstated:
        record = replace(record, **{field: getattr(fetched, field) for field in resolved.unstated})
        _check_python(record, plan.target)
    _same_metadata(record, fetched, plan.target, is_sdist=is_sdist)
    if not is_sdist:
        record = replace(record, size=record.size or archive.stat().st_size)
    if is_source:
        fetched = replace(fetched, revision=sources.session.index.revision(file_of(record)))
    return _Checked(record=fetched if is_sdist else record, manifest=wheel, unpacked=unpacked)


def _check_python(record: Record, target: Target) -> None:
    """Raise `UsageError` (`lock-python`) if a wheel of which only the archive states it needs another python."""
    specifier = python_specifier(record.requires_python or "")
    if specifier is None or target.python is None or specifier_accepts(specifier, target.python.version):
        return
    raise UsageError(
        "lock-python",
        f"{record.filename} needs python {record.requires_python}, and the environment has {target.python.version}",
        hint="choose a python that the lock was made for, or make the lock again",
    )


def _checked_wheel(
    archive: Path, filename: str, sha256: str | None, store: WheelStore
) -> tuple[WheelManifest, Path | None]:
    """Check a wheel; one without a verified hash (built here) is not cached."""
    if sha256 is None:
        return check_wheel(archive, filename=filename), None
    return store.check(archive, filename=filename, sha256=sha256)


def _same_metadata(solved: Record, fetched: Record, target: Target, *, is_sdist: bool) -> None:
    """Raise `IntegrityError` (`metadata-mismatch`) if the wheel's metadata differs from what was solved with.

    Another spelling is no difference: some indexes write METADATA anew. For an sdist, build and platform are known only
    once it is built, and the backend may write out extras that an old PKG-INFO does not.
    """
    for field in ("version", "requires_python", "requirements", "extras", "build", "subdir"):
        expected, actual = getattr(solved, field), getattr(fetched, field)
        if expected == actual or (is_sdist and field in ("build", "subdir")):
            continue
        if field in ("requirements", "extras"):
            expected, actual = _spelled(expected), _spelled(actual)
        if is_sdist and field == "requirements" and expected != actual:
            expected, actual = (_needs(each, target) for each in (solved, fetched))
        if field == "requires_python":
            expected, actual = python_specifier(expected or ""), python_specifier(actual or "")
        if expected != actual:
            raise IntegrityError(
                "metadata-mismatch",
                f"the {field} of {solved.filename} differs from what the index stated",
                context=(f"solved with: {expected}", f"in the wheel: {actual}", f"index: {solved.origin}"),
                hint=_OF_SOURCE if source_of(solved.url) is not None else _OF_INDEX,
            )


def _needs(record: Record, target: Target) -> dict[str, set[tuple[object, ...]]]:
    """What a wheel requires on a target, by extra: backends write extras that ask for one another out, or not."""
    metadata = CoreMetadata(
        name=record.pypi_names[0],
        version=record.version,
        requires_dist=record.requirements,
        provides_extra=record.extras,
    )
    environment = target.marker_environment()
    return {
        extra: {
            (each.name, str(each.specifier), each.extras, each.url)
            for each in requirements_of(metadata, [extra] if extra else [])
            if each.marker is None or marker_holds(each.marker, environment)
        }
        for extra in ("", *record.extras)
    }


def _spelled(texts: Iterable[str]) -> set[str]:
    """Normalise requirements regardless of order; texts that are no PEP 508 stay unchanged."""
    normal = set()
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            normal.add(text)
        else:
            requirement.name = canonicalize_name(requirement.name)
            normal.add(str(requirement))
    return normal


def stage_inputs(
    state: PrefixState, sources: Sources, fetched: FetchedPlan, exists: Callable[[str], Fingerprint | None]
) -> StageInputs:
    """Check every path against the prefix and the plan, show the notices, and return the inputs of staging.

    :param exists: returns the fingerprint at a path of the prefix.

    Raises `OwnershipError` (exit 4), and `UnsafeInputError` (`startup-code`) if the user refuses that.
    """
    settings, plan = sources.session.settings, fetched.plan
    site_packages = site_packages_after(plan, state)
    predicted = predict(plan, fetched.manifests, site_packages=site_packages)
    if settings.refuse_startup_code:
        refuse_startup_code(plan, fetched.manifests, predicted, site_packages or "")
    namespaces = yield_namespaces(state, plan, fetched.manifests, site_packages or "")
    judgement = judge(
        state,
        plan,
        predicted,
        exists,
        adopt=settings.adopt,
        set_aside=settings.set_aside,
        allow_clobber=(*settings.allow_clobber, *namespaces.patterns),
    )
    refuse_clobbering(plan, judgement.yielded, sources.session.policy, agreed=namespaces.patterns)
    for notice in (
        *namespaces.notices,
        *notices(state, plan, fetched.manifests, predicted, site_packages or ""),
    ):
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
        variables=settings.variables,
        link_mode=settings.link_mode,
        compiles=settings.compile and plan.target.subdir == current_subdir(),
        check=sources.session.check,
    )


def remarks_of(fetched: FetchedPlan) -> tuple[str, ...]:
    """Return what was tolerated in the archives, one line per package and kind (`docs/archives.md`)."""
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
    """The link scripts of one change: run if allowed, else listed."""

    def __init__(self, prefix: Path, fetched: FetchedPlan, session: RunPort) -> None:
        self._prefix, self._session = prefix, session
        scripts = scripts_of(fetched.plan, fetched.manifests)
        # pre-link is deprecated, and would run before anything could be undone.
        is_allowed, policy = session.settings.allow_link_scripts, session.policy
        platform = fetched.plan.target.subdir
        if is_allowed and scripts and platform != current_subdir():
            is_allowed = False
            session.warnings.append(f"link scripts for {platform} cannot run on this machine")
        self._run = tuple(script for script in scripts if is_allowed and script.action != "pre-link")
        if policy is not None:
            barred = [each for each in self._run if not policy.may_run_scripts(names_of(each.record))]
            self._run = tuple(each for each in self._run if each not in barred)
            session.warnings += [
                f"the policy does not let {each} run ({policy.shown}: link-scripts)" for each in barred
            ]
        self.not_run = tuple(str(script) for script in scripts if script not in self._run)

    def before(self) -> None:
        self._say(run_scripts(self._prefix, self._run, "pre-unlink"))

    def after(self) -> None:
        self._say(run_scripts(self._prefix, self._run, "post-link"))

    def _say(self, messages: Iterable[str]) -> None:
        self._session.warnings += [f"message of a link script: {message}" for message in messages]

    @contextmanager
    def undone(self, running: Transaction) -> Iterator[None]:
        """If the change is undone, remove files that scripts created, and name those they changed."""
        traces = Traces(self._prefix) if self._run else None
        try:
            yield
        except BaseException as error:
            # After the commit only a signal gets here; what could not be undone is unrestored to recovery.
            if traces is not None and running.outcome != "finished" and not isinstance(error, InterruptedPrefixError):
                changed = traces.remove()
                if isinstance(error, BridgeError):
                    unrestored = (f"changed by a link script, not restored: {path}" for path in changed)
                    error.context = (*error.context, *unrestored)
            raise
