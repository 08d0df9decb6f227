"""Fetch, verify and check the archives of a plan; prepare staging; run its link scripts.

In the order of decision 0001: every archive is fetched and hashed (exit 5), its structure checked (3), a wheel's
metadata compared with what was solved (5), every path compared with the prefix and the plan (4).
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from bridge import __version__
from bridge.archive.paths import Caution
from bridge.archive.refusal import shown
from bridge.channels.machine import current_subdir
from bridge.errors import BridgeError, InterruptedPrefixError, NetworkError
from bridge.fetch.urls import file_name
from bridge.fetch.waiting import shown as shown_step
from bridge.install.checking import Checked, Checker, file_of
from bridge.install.link_scripts import Traces, run_scripts, scripts_of
from bridge.install.manifest import Manifest, predict, site_packages_after
from bridge.install.namespaces import yield_namespaces
from bridge.install.notices import notices, refuse_startup_code
from bridge.install.ownership import judge
from bridge.install.plan import with_extras
from bridge.install.ruling import refuse_clobbering
from bridge.install.sources import Sources, command_line
from bridge.install.staging import StageInputs
from bridge.model import Fingerprint, Plan, PrefixState, Reinstall, Remove, Resolved
from bridge.paths import quoted
from bridge.prefix.claims import incoming
from bridge.prefix.yielded import yielded_of
from bridge.resolve.ports import RunPort
from bridge.resolve.ruling import names_of
from bridge.sdists.location import source_of
from bridge.transaction.commit import Transaction
from bridge.transaction.journal import now
from converters.deferred import dataclass, replace
from converters.record import Record

__all__ = ["FetchedPlan", "Scripts", "fetch", "fetch_archive", "remarks_of", "stage_inputs"]

_MANY_BYTES = 1 << 40  # assumed for an unknown size


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPlan:
    """A plan with its archives on disk; sdists are replaced by the wheels built from them."""

    plan: Plan
    archives: Mapping[str, Path]
    manifests: Mapping[str, Manifest]
    unpacked: Mapping[str, Path]


def fetch(plan: Plan, sources: Sources) -> FetchedPlan:
    """Fetch and verify every archive, and check and unpack each as soon as it arrives, into the cache.

    Errors are raised in the order of the plan.
    """
    packages = incoming(plan)
    checker = Checker(sources, plan.target)
    checked: dict[str, Checked] = {}
    for each in packages:
        sources.session.check()
        if (known := checker.known(each)) is not None:
            checked[each.record.identity] = known
    if len(checked) < len(packages):
        checked |= _brought([each for each in packages if each.record.identity not in checked], sources, checker)
    operations = tuple(
        step
        if isinstance(step, Remove)
        else replace(step, new=replace(step.new, record=checked[step.new.record.identity].record))
        for step in plan.operations
    )
    fetched = replace(plan, operations=operations)
    found = {each.record.identity: each for each in (checked[old.record.identity] for old in packages)}
    return FetchedPlan(
        plan=with_extras(fetched) if any(each.unstated for each in packages) else fetched,
        archives={identity: each.archive for identity, each in found.items()},
        manifests={identity: each.manifest for identity, each in found.items()},
        unpacked={identity: each.unpacked for identity, each in found.items() if each.unpacked is not None},
    )


def _brought(packages: Sequence[Resolved], sources: Sources, checker: Checker) -> dict[str, Checked]:
    """Fetch archives, and check each in another thread: planned `Record.identity` → what was found."""
    pending: dict[str, Future[Checked]] = {}
    found: dict[str, Checked] = {}

    def bring(resolved: Resolved) -> None:
        sources.session.check()
        identity = resolved.record.identity
        planned = replace(resolved, record=sources.channels.packed(resolved.record))
        # What the channel `host` packed meanwhile is in the cache, unpacked.
        known = checker.known(planned) if planned.record is not resolved.record else None
        if known is not None:
            found[identity] = known
        else:
            path = fetch_archive(planned.record, sources)
            pending[identity] = threads.submit(checker.check, planned, path)

    step = f"unpacking {len(packages)} package{'s' * (len(packages) != 1)}"
    with shown_step(sources.session.progress, step), ThreadPoolExecutor() as threads:
        try:
            if any(each.record.ecosystem == "wheel" for each in packages):
                threads.submit(import_module, "bridge.install.staging.wheels")  # 14 ms, while others are waited for
            # Largest first: those take longest to check and unpack.
            sources.session.client.map(bring, sorted(packages, key=lambda each: -(each.record.size or _MANY_BYTES)))
            identities = [each.record.identity for each in packages]
            return found | {each: pending[each].result() for each in identities if each in pending}
        except BaseException:
            checker.stop()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


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
        allow_clobber=(*settings.allow_clobber, *namespaces.patterns, *_agreed(plan)),
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
        is_synced=settings.durability == "batched",
        fetch=lambda record: fetch_archive(record, sources),
        compiles=settings.compile and plan.target.subdir == current_subdir(),
        check=sources.session.check,
    )


def _agreed(plan: Plan) -> Iterator[str]:
    """Yield patterns as of `--allow-clobber`: a package that is installed again leaves what it left before.

    What several of them left, and no other has, the first of them takes.
    """
    again = [step for step in plan.operations if isinstance(step, Reinstall)]
    left = [(step.new.record.name, path) for step in again for path in yielded_of(step.old.record)]
    counts = Counter(path for _, path in left)
    for name, path in left:
        pattern = re.sub(r"([*?[])", r"[\1]", path)
        yield f"{name}:{pattern}"
        if counts[path] > 1:
            yield f"*:{pattern}"


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
