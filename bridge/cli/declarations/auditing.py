"""`bridge audit`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from bridge.cli.beginning import begin
from bridge.cli.declaring import argument, command, option
from bridge.cli.failure import Exit
from bridge.cli.options import lock, output, prefix, sources
from bridge.errors import BridgeError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.audit.finding import Level, Report
    from bridge.audit.look.tree import Walk
    from bridge.cli.run import Run
    from bridge.cli.session import Session

_LIST = "?"  # `--checks` without a value


@command()
@argument("words", nargs=-1, metavar="[KIND|PACKAGE|PATH…]")
@prefix
@option("--fail-on", choices=("error", "warning", "info", "never"),
              help="Exit with 11 for findings of this level or above (default: error).")  # fmt: skip
@option("--accept", multiple=True, metavar="FILE", type="path", help="TOML with known findings, each with"
              " a reason and an end; they do not count.")  # fmt: skip
@option("--baseline", metavar="FILE", type="path", help="Write an acceptance file with everything found.")
@option("--checks", metavar="[CHECK,…]", is_flag=False, flag_value=_LIST, help="Without a value list the checks;"
              " else run these, by id or theme; `all,-CHECK` leaves one out.")  # fmt: skip
@option("--fix", is_flag=True, help="Show a plan, then repair in one transaction what is safe to repair.")
@option("--dry-run", is_flag=True, help="With --fix: print the plan and change nothing.")
@option("--override-frozen", is_flag=True, help="With --fix: repair an environment that is marked as frozen.")
@option("--html", metavar="FILE", type="path", help="Write a self-contained HTML report.")
@option("--sbom", "bills", multiple=True, metavar="FILE", type="path",
              help="Write a bill of materials: *.spdx.json is SPDX, *.json and *.xml are CycloneDX.")  # fmt: skip
@option("--sarif", metavar="FILE", type="path", help="Write the findings as SARIF 2.1.0.")
@option("--junit", metavar="FILE", type="path", help="Write the findings as JUnit XML.")
@option("--github", is_flag=True, help="Print the findings as annotations of GitHub Actions.")
@option("--vulnerabilities", metavar="[URL|FILE|DIR]", is_flag=False, flag_value="index", help="Also"
              " report known vulnerabilities: from OSV advisories, or without a value from the index.")  # fmt: skip
@option("--allow-license", "allow_licenses", multiple=True, metavar="SPDX", help="Report packages whose licence"
              " is none of these; a pattern (BSD-*), or NOASSERTION for none.")  # fmt: skip
@option("--deny-license", "deny_licenses", multiple=True, metavar="SPDX",
              help="Report packages that cannot be used without accepting this licence.")  # fmt: skip
@option("--online", is_flag=True, help="Also ask the package indexes which versions were yanked, and which"
              " projects are archived, deprecated or quarantined.")  # fmt: skip
@option("--import", "is_importing", is_flag=True, help="Also import every module, each in a process of its own in"
              " the sandbox of builds, and report those that fail.")  # fmt: skip
@option("--rehash", is_flag=True, help="Read and hash every file again; ignore the results of the last audit.")
@option("--against", metavar="LOCK", type="path", help="Also report what is missing, extra or other than"
              " in LOCK.")  # fmt: skip
@option("--environment", "lock_environment", metavar="NAME", help="With --against: environment of the lock.")
@lock
@sources
@output
def audit(
    words: Sequence[str],
    fail_on: str | None,
    accept: Sequence[str],
    baseline: str | None,
    checks: str | None,
    fix: bool,
    dry_run: bool,
    html: str | None,
    bills: Sequence[str],
    sarif: str | None,
    junit: str | None,
    github: bool,
    vulnerabilities: str | None,
    allow_licenses: Sequence[str],
    deny_licenses: Sequence[str],
    rehash: bool,
    online: bool,
    is_importing: bool,
    against: str | None,
    lock_environment: str | None,
    **options: object,
) -> None:
    """Check an environment: what is broken, which package or tool did it, and the command that repairs it.

    A KIND or theme of checks, a PACKAGE or a PATH restricts the audit, and --fix, to its findings.
    """
    with _walking_ahead(options, is_wanted=checks != _LIST) as walk:
        from bridge.cli.commands import auditing

        run = begin(options)
        if checks == _LIST:
            _list_checks(run)
            return
        _check(is_for_two=github and run.settings.json, has_no_lock=lock_environment is not None and against is None)
        request = auditing.read_request(
            words,
            checks=checks,
            accept=accept,
            fail_on=fail_on,
            vulnerabilities=vulnerabilities,
            allow_licenses=allow_licenses,
            deny_licenses=deny_licenses,
            is_fresh=rehash,
            is_online=online,
            is_importing=is_importing,
            lock=against,
            lock_environment=lock_environment,
        )
        with run.session() as session:
            judged = auditing.judged(run.prefix, session, request, walk)
            if fix:
                _repair(run, session, judged.report, dry_run)
                judged = judged if dry_run else auditing.judged(run.prefix, session, request)
            report = judged.report
            texts = _texts(report, request.fail_on, sarif=sarif, junit=junit, baseline=baseline)
            written = auditing.write_audit(run.prefix, report, session, html=html, bills=bills, texts=texts)
        run.render.warn(judged.warnings)
        _show(run, report, is_filtered=bool(words), is_annotated=github)
        _end(run, written, report.failure(request.fail_on))


@contextmanager
def _walking_ahead(options: Mapping[str, object], *, is_wanted: bool) -> Iterator[Walk | None]:
    """Start to walk through what is most likely the environment, while the modules of the audit are imported."""
    from bridge.audit.look.tree import walking

    named = options.get("prefix") or (None if options.get("name") else os.environ.get("CONDA_PREFIX"))
    with ExitStack() as stack:
        walk = None
        if is_wanted and isinstance(named, str):
            with suppress(BridgeError):  # The audit reports it, if this is the environment.
                walk = stack.enter_context(walking(os.path.abspath(named)))
        yield walk


def _check(*, is_for_two: bool, has_no_lock: bool) -> None:
    if is_for_two:
        raise UsageError("usage", "--github and --json both write to standard output", hint="leave one out")
    if has_no_lock:
        raise UsageError("usage", "--environment names one of a lock's environments", hint="add --against LOCK")


def _show(run: Run, report: Report, *, is_filtered: bool, is_annotated: bool) -> None:
    run.show(report.to_json, lambda: run.render.report(report, is_filtered=is_filtered))
    if is_annotated:
        _annotate(run, report)


def _end(run: Run, written: Sequence[Path], failure: BridgeError | None) -> None:
    for path in written:
        run.render.note(f"written: {path}")
    if failure is not None:
        run.render.error(failure)
        raise Exit(failure.exit_code)


def _repair(run: Run, session: Session, report: Report, dry_run: bool) -> None:
    """Repair what is safe to repair, and update vulnerable packages within what was asked for."""
    from bridge.cli.commands import changes

    applied = changes.repair(run.prefix, report, session, is_dry_run=dry_run, show=run.render.repair)
    run.render.repaired(applied, is_dry_run=dry_run)
    updatable = (each for each in report.findings if each.fixed and each.repair[:2] == ("bridge", "update"))
    vulnerable = sorted({each.package for each in updatable if each.package})
    if vulnerable:
        run.render.note(f"update {', '.join(vulnerable)}, for known vulnerabilities:")
        updated = changes.update(run.prefix, vulnerable, session, is_dry_run=dry_run)
        if run.render.is_watched and not dry_run:
            run.render.outcome(updated)
        else:
            run.render.plan(updated.plan, is_dry_run=dry_run)


def _texts(
    report: Report, fail_on: Level | None, *, sarif: str | None, junit: str | None, baseline: str | None
) -> dict[str, str]:
    """File to content of what is written besides the page and the bills of materials."""
    if not (sarif or junit or baseline):
        return {}
    from bridge.audit import accept
    from bridge.audit.report import annotations

    texts = {sarif: annotations.sarif(report)} if sarif else {}
    texts |= {junit: annotations.junit(report, fail_on)} if junit else {}
    texts |= {baseline: accept.baseline(report, "found when the baseline was written")} if baseline else {}
    return texts


def _annotate(run: Run, report: Report) -> None:
    from bridge.audit.report.annotations import github

    for line in github(report):
        run.render.text(line + "\n")


def _list_checks(run: Run) -> None:
    from bridge.audit.checks import CHECKS
    from bridge.audit.checks.choice import AFTER, plugins, theme_of

    every = [(each.id, theme_of(each), each.level) for each in (*CHECKS, *plugins())]
    every += [(kind, "packages", "error") for kind in AFTER]
    run.show(
        lambda: {"checks": [{"id": kind, "theme": theme, "level": level} for kind, theme, level in every]},
        lambda: run.render.table(("check", "theme", "worst level"), every),
    )
