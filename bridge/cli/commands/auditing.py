"""`bridge audit`: read or recall a report, apply what the project accepts, write what was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import __version__
from bridge.audit.finding import INTERRUPTED, LEVELS, Level, Report
from bridge.audit.look.tree import Walk, walking
from bridge.audit.report_cache import ReportCache
from bridge.cli.session import Session
from bridge.errors import UsageError, did_you_mean
from bridge.fetch.urls import local_path
from bridge.fs import publish_file
from bridge.paths import NAMES_FILE, quoted
from bridge.transaction.sharing import share
from bridge.transaction.waiting import pending
from converters.deferred import dataclass

if TYPE_CHECKING:
    from bridge.audit.accept import Acceptance
    from bridge.audit.checks import Check
    from bridge.audit.look.inspection import Drift
    from bridge.config.licenses import LicenseRules

__all__ = ["AuditRequest", "Judged", "audit", "judge", "judged", "read_request", "write_audit"]

# The environment variables that an audit reads (`bridge.audit.look.inspect`, `bridge.audit.look.caches`).
_ENVIRONMENT = frozenset(
    """HOME PYTHONPATH PYTHONUSERBASE PYTHONNOUSERSITE LD_LIBRARY_PATH CONDA_PKGS_DIRS MAMBA_ROOT_PREFIX
    RATTLER_CACHE_DIR PIXI_CACHE_DIR UV_CACHE_DIR PIP_CACHE_DIR XDG_CACHE_HOME SSL_CERT_FILE SSL_CERT_DIR
    REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT""".split()  # noqa: SIM905
)


_KEYS = ("accept", "checks", "fail-on", "licenses", "vulnerabilities")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What to audit, from the command line and `[tool.bridge.audit]`.

    :param words: kinds, packages and paths to restrict the report to.
    :param checks: ids and themes of checks; `-` before one leaves it out.
    :param others: the checks of other distributions.
    :param is_importing: whether each module is imported, in the sandbox.
    :param lock: a lock that the environment is compared with; `lock_environment`: one of the lock's environments.
    :param vulnerabilities: the source of advisories: `advisories.OF_INDEX`, a URL, a file or a folder; `None`: none.
    :param licenses: the licences that packages may have; `None`: any.
    """

    words: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    fail_on: Level | None = "error"
    others: tuple[Check, ...] = ()
    vulnerabilities: str | None = None
    licenses: LicenseRules | None = None
    is_fresh: bool = False
    is_online: bool = False
    lock: str | None = None
    lock_environment: str | None = None
    is_importing: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the report may be kept: it depends on nothing but the environment and caches."""
        return not self.is_online and self.lock is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A report after acceptances and selection."""

    report: Report
    warnings: tuple[str, ...] = field(default=())


def read_request(
    words: Sequence[str],
    *,
    checks: str | None,
    accept: Sequence[str],
    fail_on: str | None,
    vulnerabilities: str | None = None,
    allow_licenses: Sequence[str] = (),
    deny_licenses: Sequence[str] = (),
    is_fresh: bool = False,
    is_online: bool = False,
    is_importing: bool = False,
    lock: str | None = None,
    lock_environment: str | None = None,
    reads_project: bool = True,
) -> AuditRequest:
    """Combine the command line with `[tool.bridge.audit]` of the project in the working directory; the former wins.

    :param reads_project: `False`: no project's table is read.
    :raises UsageError: `acceptance-file`, `unknown-check`, `audit-plugin`, `project-file`.
    """
    from bridge.config.project import project_table

    others = _others()
    table = project_table(Path.cwd(), "audit") if reads_project else None
    values: Mapping[str, object] = table.values if table else {}
    where = f"{table.file}: tool.bridge.audit" if table else ""
    for key in values:
        if key not in _KEYS:
            raise UsageError("project-file", f"{where}.{key}: there is no such key; known are {', '.join(_KEYS)}")
    chosen = _words(checks) if checks is not None else _texts(values.get("checks"), f"{where}.checks")
    if chosen:
        from bridge.audit.checks.choice import choose

        choose(chosen, others)
    level = fail_on or values.get("fail-on", "error")
    if level not in (*LEVELS, "never"):
        raise UsageError("project-file", f"{where}.fail-on: it is not error, warning, info or never")
    source = vulnerabilities if vulnerabilities is not None else _source(values, where, table.file if table else Path())
    return AuditRequest(
        words=tuple(words),
        checks=chosen,
        acceptances=_acceptances(accept, values.get("accept"), where, table.file if table else Path(), others),
        fail_on=None if level == "never" else level,  # type: ignore[arg-type]
        others=others,
        vulnerabilities=source,
        licenses=_licenses(values.get("licenses"), f"{where}.licenses", allow_licenses, deny_licenses),
        is_fresh=is_fresh,
        is_online=is_online,
        is_importing=is_importing,
        lock=lock,
        lock_environment=lock_environment,
    )


def _others() -> tuple[Check, ...]:
    """The checks of other distributions. Most have none, and are not even imported to tell."""
    from bridge.audit.elsewhere import may_add_checks

    if not may_add_checks():
        return ()
    from bridge.audit.checks.choice import plugins

    return tuple(plugins())


def _source(values: Mapping[str, object], where: str, project: Path) -> str | None:
    """The source of advisories that the project names: a URL, a path, or `true` for the package index."""
    value = values.get("vulnerabilities")
    if value is None or value is False:
        return None
    if value is True:
        from bridge.audit.advisories import OF_INDEX

        return OF_INDEX
    if not isinstance(value, str):
        raise UsageError("project-file", f"{where}.vulnerabilities: it is neither a text nor true")
    return value if "://" in value else str(project.parent / value)


def _licenses(value: object, where: str, allow: Sequence[str], deny: Sequence[str]) -> LicenseRules | None:
    """The rules of the command line, or else those of the project."""
    if value is None and not allow and not deny:
        return None
    from bridge.config.licenses import LicenseRules

    if allow or deny:
        try:
            return LicenseRules(allow=tuple(allow), deny=tuple(deny))
        except ValueError as error:
            raise UsageError("license-rule", str(error)) from error
    if not isinstance(value, Mapping) or not set(value) <= {"allow", "deny"}:
        raise UsageError("project-file", f"{where}: it is not a table of allow and deny")
    listed = {key: _texts(value.get(key), f"{where}.{key}") for key in ("allow", "deny")}
    try:
        return LicenseRules(allow=listed["allow"], deny=listed["deny"])
    except ValueError as error:
        raise UsageError("project-file", f"{where}: {error}") from error


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in text.split(","))))


def _texts(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError("project-file", f"{where}: it is not a list of texts")
    return tuple(value)


def _acceptances(
    files: Sequence[str], value: object, where: str, project: Path, others: Sequence[Check]
) -> tuple[Acceptance, ...]:
    """Those of the files of the command line, and of the project: a file's path, or tables."""
    if not files and value is None:
        return ()
    from bridge.audit.accept import read_acceptances
    from bridge.audit.checks import CHECKS
    from bridge.audit.checks.choice import AFTER
    from bridge.config.project import read_toml

    kinds = (*AFTER, *(each.id for each in (*CHECKS, *others)))

    named = [Path(each) for each in files]
    own: tuple[Acceptance, ...] = ()
    if isinstance(value, str):
        named.append(project.parent / value)
    elif value is not None:
        own = read_acceptances(value, where, kinds)
    for file in named:
        document = read_toml(file, "acceptance-file")
        for key in document:
            if key != "accept":
                raise UsageError("acceptance-file", f"{file}: {key}: there is no such key; known is accept")
        own += read_acceptances(document.get("accept", []), str(file), kinds)
    return own


def judge(path: Path, report: Report, request: AuditRequest) -> Judged:
    """Set accepted findings apart, and keep those of the chosen checks that were asked about.

    :raises UsageError: `unknown-package`: a word is no kind, no path and no package of the environment.
    """
    if not (request.words or request.checks or request.acceptances):
        return Judged(report=report)
    from datetime import datetime

    from bridge.audit.accept import accepted
    from bridge.audit.checks.choice import choose
    from bridge.audit.selection import read_filter, restricted

    report, warnings = accepted(report, request.acceptances, datetime.now().astimezone().date())
    wanted = read_filter(request.words, request.others)
    _check_packages(path, report, wanted.packages)
    return Judged(report=restricted(report, choose(request.checks, request.others), wanted), warnings=warnings)


def _check_packages(path: Path, report: Report, packages: Sequence[str]) -> None:
    """A name that is none is an error: a misspelt kind would seem to find nothing."""
    packages_with_findings = {each.package for each in report.findings}
    unknown = [each for each in packages if each not in packages_with_findings and not set("*?[") & set(each)]
    if not unknown:
        return
    from bridge import prefix

    state = prefix.require(path)
    known = {each.record.name for each in state.installed} | {each.name for each in state.distributions}
    for word in unknown:
        if word not in known:
            raise _unknown(path, word, known)


def _unknown(path: Path, word: str, packages: set[str]) -> UsageError:
    from bridge.audit.checks import CHECKS

    question = did_you_mean(word, {*packages, *(each.id for each in CHECKS)})
    return UsageError(
        "unknown-package",
        f"{word!r} is not a check, a path or a package of this environment",
        hint=question or f"`bridge audit --checks` lists the checks, `bridge list -p {quoted(path)}` the packages",
    )


def judged(path: Path, session: Session, request: AuditRequest, walk: Walk | None = None) -> Judged:
    """Audit an environment, and apply what the request says of the report; `walk` as of `audit`."""
    report = audit(path, session, request, walk)
    if request.vulnerabilities is not None or request.licenses is not None:
        from bridge.cli.commands.package_findings import with_package_findings

        source = request.vulnerabilities
        report = with_package_findings(path, report, session, advisories=source, licenses=request.licenses)
    if request.is_importing:
        from bridge.cli.commands.import_findings import with_import_findings

        report = with_import_findings(path, report, session)
    return judge(path, report, request)


def audit(path: Path, session: Session, request: AuditRequest, ahead: Walk | None = None) -> Report:
    """Audit an environment, or return the last report if nothing has changed since.

    :param ahead: a walk that was started before, most likely through this environment.
    """
    drift: tuple[Drift, ...] = ()
    if request.lock is not None:
        from bridge.cli.commands.comparing import drift as drift_from

        drift = drift_from(path, request.lock, session, environment=request.lock_environment)
    with share(path, session.settings.lock_timeout), _continued(os.path.abspath(path), ahead) as walk:
        memory = ReportCache(session.settings.cache_dir / "audit", path, _circumstances(session, request.others), walk)
        if not (request.is_fresh or not request.is_kept or pending_in(path)):
            remembered = memory.recall()
            if remembered is not None:
                return remembered
        from bridge.audit.reading import start

        with start(path, walk=walk) as running:
            # Most modules are imported, and names and target determined, while other processes read the files.
            from bridge.audit.run import report as report_of
            from bridge.cli.targets import audited_target

            memory.prepare()
            urls = session.channel_urls(running.state)
            names = session.names(urls, running.state)
            watched = {str(Path(folder) / NAMES_FILE) for url in urls if (folder := local_path(url))}
            watched |= {session.settings.name_map} if session.settings.name_map else set()
            report = report_of(
                running,
                audited_target(session.settings, session.target),
                names,
                environ=os.environ,
                cache=session.settings.cache_dir,
                watched=watched,
                index=session.index if request.is_online else None,
                others=request.others,
                drift=drift,
            )
        if watched and request.is_kept and not any(each.id == INTERRUPTED for each in report.findings):
            memory.keep(report, watched)
        return report


def _continued(prefix: str, ahead: Walk | None) -> AbstractContextManager[Walk]:
    return nullcontext(ahead) if ahead is not None and ahead.holds(prefix) else walking(prefix)


def pending_in(path: Path) -> bool:
    """Whether a prefix exists and has an interrupted transaction."""
    return path.is_dir() and pending(path) is not None


def _circumstances(session: Session, others: Sequence[Check]) -> str:
    """Everything that an audit depends on besides files."""
    settings = session.settings
    named = {
        key: value for key, value in os.environ.items() if key in _ENVIRONMENT or key.startswith("CONDA_OVERRIDE_")
    }
    # Virtual packages follow from these; detecting them takes longer than comparing an environment.
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
    machine = (os.uname(), libc, settings.platform, settings.virtual_packages)
    asked = (settings.channels, settings.has_channels, settings.name_map, settings.channel_priority)
    code = [(each.id, each.run.__module__, _changed(each)) for each in others]
    return repr((__version__, sys.version, machine, asked, sorted(named.items()), code))


def _changed(check: Check) -> float:
    """When the file of a check changed; 0: it has none."""
    file = getattr(sys.modules.get(check.run.__module__), "__file__", None)
    return os.stat(file).st_mtime if file and os.path.exists(file) else 0.0


def write_audit(
    path: Path,
    report: Report,
    session: Session,
    *,
    html: str | None,
    bills: Sequence[str],
    texts: Mapping[str, str],
) -> tuple[Path, ...]:
    """Write the HTML report, the bills of materials, and `texts` (file to content), each atomically; return the paths.

    Raises `UsageError` (`sbom-library`, `report-folder`) and `FaultError`.
    """
    targets = [Path(os.path.abspath(each)) for each in (*([html] if html else ()), *bills, *texts)]
    for target in targets:
        if not target.parent.is_dir():
            raise UsageError("report-folder", f"{target} cannot be written: {target.parent} is not a directory")
    if not targets:
        return ()
    contents: list[bytes] = []
    if html or bills:
        from bridge import prefix
        from bridge.audit.report.clock import stated_time
        from bridge.audit.report.facts import gather
        from bridge.audit.report.page import page
        from bridge.audit.report.sbom import bill_of_materials

        state = prefix.require(path)
        names = session.names(session.local_channel_urls(state), state)
        facts = gather(state, session.target, names, report)
        when = stated_time()
        contents += [page(facts, when)] if html else []
        contents += [bill_of_materials(facts, Path(each).name, when) for each in bills]
    contents += [text.encode("utf-8", "backslashreplace") for text in texts.values()]
    for target, content in zip(targets, contents, strict=True):
        publish_file(target, [content])
    return tuple(targets)
