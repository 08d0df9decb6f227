"""The only place that prints: tables, progress, warnings and errors by rich, documents as JSON.

Data goes to standard output, everything else to standard error. Text is clear without colour; control characters of
foreign texts are escaped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.cli.console import Output
from bridge.cli.progress import Phases, ProgressDisplay
from bridge.cli.streams import is_unicode
from bridge.cli.tables import fit
from bridge.cli.texts import aligned, coloured, counted, printable, safe, short, size
from bridge.errors import BridgeError, few
from bridge.secrets import masked

if TYPE_CHECKING:
    from bridge.audit.finding import Report
    from bridge.audit.packages import PackageList
    from bridge.audit.queries import Ownership, Reasons
    from bridge.cache.prune import Inspection
    from bridge.cli.commands.conversion import Conversion
    from bridge.cli.plans import Transfer
    from bridge.install.applied import AppliedPlan
    from bridge.install.repair import Repair
    from bridge.model import Plan, Resolution

__all__ = ["Renderer"]

_MAX_OWNERS = 12  # of a folder


class Renderer:
    """Prints for one run.

    :param color: `auto`, `always` or `never`; `auto` colours a terminal unless `NO_COLOR` is set.
    `warnings` counts those that were printed.
    """

    def __init__(self, *, is_json: bool, quiet: bool, verbose: bool, progress: bool, color: str) -> None:
        self._is_json, self._quiet, self._verbose, self._progress = is_json, quiet, verbose, progress
        forced = {"always": True, "never": False}.get(color)
        self._out, self._err = Output(is_error=False, forced=forced), Output(is_error=True, forced=forced)
        self.warnings = 0
        self._shown: Plan | None = None
        self._phases: Phases | None = None
        self._display: ProgressDisplay | None = None

    # Documents, errors, messages

    def document(self, value: object) -> None:
        """One JSON document on standard output."""
        sys.stdout.write(masked(_json(value, indent=2)) + "\n")

    def line(self, value: object) -> None:
        """One JSON document on one line."""
        sys.stdout.write(masked(_json(value)) + "\n")
        sys.stdout.flush()

    def text(self, value: str) -> None:
        """Unchanged text on standard output."""
        sys.stdout.write(value)

    def error(self, failure: BridgeError) -> None:
        """`error[id]: message`, its context, its hint."""
        from bridge.cli.next_steps import next_step  # most runs have no error

        self._say(failure.message, f"error[{failure.id}]", "bold red")
        for fact in failure.context:
            for line in fact.splitlines():
                self._say(f"  {line.rstrip()}")
        if hint := next_step(failure):
            self._say(hint, "hint", "bold")

    def warn(self, messages: Iterable[str]) -> None:
        """Warnings, one line each."""
        for message in messages:
            self.warnings += 1
            self._say(message, "warning", "yellow")

    def note(self, message: str) -> None:
        """A message; silent with `-q`."""
        if not self._quiet:
            self._say(message)

    def _say(self, message: str, title: str = "", style: str = "") -> None:
        """A line on standard error. Files and pipes need no rich for it."""
        if self._err.is_plain:
            sys.stderr.write(f"{title and f'{title}: '}{printable(message)}\n")
        else:
            named = f"[{style}]{safe(title)}[/]: " if title else ""
            show = self._err.print if self._display is None else self._display.print
            show(f"{named}{safe(message)}")

    @property
    def is_unicode(self) -> bool:
        """Whether standard output takes every character."""
        return is_unicode(sys.stdout)

    def lines(self, texts: Iterable[str]) -> None:
        """Lines of a result, on standard output."""
        for text in texts:
            sys.stdout.write(f"{printable(text)}\n") if self._out.is_plain else self._out.print(safe(text))

    @property
    def width(self) -> int | None:
        """The columns of the terminal that standard output is; `None` for a file or pipe."""
        return self._out.width if sys.stdout.isatty() else None

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str]], *, short: Collection[str] = ()) -> None:
        """A table on standard output. Files and pipes get whole cells, and need no rich for it.

        :param short: titles of the columns that a narrow terminal gets shortened or not at all (see `tables`).
        """
        if self._out.is_plain:
            sys.stdout.writelines(f"{line}\n" for line in aligned([titles, *rows]))
            return
        self._laid_out(self._out, titles, rows, short)

    def _laid_out(
        self, output: Output, titles: Sequence[str], rows: Iterable[Sequence[str]], short: Collection[str]
    ) -> None:
        """Print a table as wide as the terminal; the titles in bold, unless all are empty."""
        cells = [[printable(cell) for cell in row] for row in rows]
        mark = "…" if is_unicode(output.stream) else "~"
        layout = fit(titles, cells, output.width, short, mark)
        for line in layout.head if any(titles) else ():
            output.print(f"[bold]{safe('  '.join(line).rstrip())}[/]")
        for line in layout.lines:
            output.print("  ".join(map(coloured, layout.titles, line)).rstrip())
        if layout.omitted:
            self.note(f"no room for: {', '.join(layout.omitted)}; --json has all")

    @contextmanager
    def progress(self) -> Iterator[Phases | None]:
        """Show the phases of the run while the block runs, and with `-v` tell how long they took.

        `None` without a terminal, unless with `-v`.
        """
        is_shown = self._progress and not self._quiet and sys.stderr.isatty()
        if not is_shown and not self._verbose:
            yield None
            return
        self._phases = phases = Phases()
        if is_shown:
            self._display = ProgressDisplay(phases, lambda: self._err.console, is_unicode=is_unicode(sys.stderr))
        try:
            yield phases
        finally:
            if self._display is not None:
                self._display.end()
            if self._verbose and phases.took:
                self.note(phases.took)

    # Results

    def resolution(self, resolution: Resolution) -> None:
        """The solution as a table, and its statistics."""
        from bridge.cli.plans import source

        titles = ("package", "version", "build", "from", "requested", "required by")
        rows = [
            (
                resolved.record.name,
                resolved.record.version,
                resolved.record.build,
                source(resolved.record),
                ", ".join(resolved.requested),
                few(resolved.required_by),
            )
            for resolved in resolution.packages
        ]
        self.table(titles, rows, short=("build", "requested", "required by"))
        statistics = resolution.statistics
        parts = (("round", statistics.rounds), ("conflict", statistics.backtracks))
        done = ", ".join(counted(number, noun) for noun, number in parts)
        found = counted(len(resolution.packages), "package")
        self.note(f"{found} in {statistics.seconds:.2f} s: {done}, {statistics.metadata_fetched} METADATA files read")

    def plan(self, planned: Plan, *, is_dry_run: bool) -> None:
        """The operations of a plan."""
        from bridge.cli import plans

        if planned.is_empty:
            self.note(f"{planned.prefix}: nothing to do; all requirements are satisfied")
            return
        if self._quiet:
            return
        self._operations(planned)
        if self.is_watched and is_dry_run:
            self.note(plans.totals(planned))
        if is_dry_run:
            self.note(f"{planned.prefix}: nothing was changed (--dry-run)")

    @property
    def is_watched(self) -> bool:
        """Whether somebody reads the messages on a terminal."""
        return not self._is_json and not self._quiet and sys.stderr.isatty()

    def _operations(self, planned: Plan) -> None:
        """The operations as a table; without titles and sizes in files and pipes."""
        from bridge.cli import plans

        self._shown = planned
        if self.is_watched:
            rows, left = plans.rows(planned, None if self._verbose else plans.MANY)
            self._laid_out(self._err, plans.COLUMNS, rows, short=("build", "size"))
            if left:
                self.note(f"… and {left} more packages to add; -v shows all")
        else:
            rows = [row[:-1] for row in plans.rows(planned)[0]]
            self._laid_out(self._err, [""] * (len(plans.COLUMNS) - 1), rows, short=())
        if self._verbose:
            for line in plans.choices(planned):
                self.note(line)

    def proposal(self, planned: Plan, transfer: Transfer, *, asks: bool) -> None:
        """A plan that is about to be executed, with its totals, and the question. Raises `click.Abort` for a no."""
        from bridge.cli import plans

        if self._display is not None:
            self._display.end()
        if self._phases is not None:
            self._phases.expected = transfer.known
        if self._shown is not planned:
            self._operations(planned)
        self.note(f"{planned.prefix}: {plans.totals(planned, transfer)}")
        if asks:
            import click

            try:
                click.confirm("Proceed", default=True, abort=True, err=True)
            except click.Abort:
                self.note(f"{planned.prefix}: nothing was changed")
                raise

    def outcome(self, done: AppliedPlan) -> None:
        """The executed plan, with warnings; on a terminal it was shown before."""
        if (not self.is_watched or done.plan.is_empty) and not done.besides:  # those of a repair that was undone
            self.plan(done.plan, is_dry_run=False)
        for kept in done.staged.kept_aside if done.staged else ():
            self.warn([f"{kept.path} was modified; your version is kept as {kept.saved}"])
        if done.link_scripts:
            self.warn([f"link scripts did not run (--allow-link-scripts runs them): {few(done.link_scripts)}"])
        for remark in done.remarks if self._verbose else ():
            self.note(remark)
        if not done.plan.is_empty or done.besides:
            from bridge.cli.plans import achieved

            what = (achieved(done.plan) if self.is_watched else "") or "done"
            self.note(f"{done.plan.prefix}: {what} in {done.seconds:.1f} s")

    def repair(self, planned: Repair) -> None:
        """The plan of a repair."""
        if not planned.plan.is_empty:
            self.note("reinstall (-: remove a second record of a package):")
            self.plan(planned.plan, is_dry_run=False)
        if planned.relocation.files:
            self.note(f"write this prefix into: {few(list(planned.relocation.files), 8)}")
        if planned.gone:
            self.note(f"remove leftovers: {few(planned.gone, 8)}")

    def repaired(self, done: AppliedPlan, *, is_dry_run: bool) -> None:
        """The result of a repair."""
        for kept in done.staged.kept_aside if done.staged else ():
            self.warn([f"{kept.path} was modified; your version is kept as {kept.saved}"])
        if is_dry_run:
            self.note(f"{done.plan.prefix}: nothing was changed (--dry-run)")
        elif done.plan.is_empty and not done.besides:
            self.note(f"{done.plan.prefix}: nothing for --fix to repair; the findings name other commands")
        else:
            self.note(f"{done.plan.prefix}: repaired in {done.seconds:.1f} s")

    def conversion(self, conversion: Conversion) -> None:
        """The written packages, and a summary for several wheels."""
        for done in conversion.done:
            self.lines(str(converted.path) for converted in done.packages)
            self.lines(f"{wheel.entry.stem} {wheel.entry.record['url']}" for wheel in done.wheels)
            for note in dict.fromkeys(done.remarks) if self._verbose else ():
                if not note.is_warning:
                    self.note(f"{done.name}: {note.text}")
        self.warn(conversion.warnings)
        if len(conversion.done) > 1 and not self._quiet:
            self._summary(conversion)

    def _summary(self, conversion: Conversion) -> None:
        rows = []
        for done in conversion.done:
            became = "failed" if done.error else "exists already" if done.is_reused else "converted"
            total = sum(package.record.size or 0 for package in done.packages) / 1e6
            count = len(done.packages) + len(done.wheels)
            rows.append((done.text.rsplit("/", 1)[-1], became, str(count), f"{total:.1f}", f"{done.seconds:.2f}"))
        self._laid_out(self._err, ("wheel", "result", "packages", "MB", "seconds"), rows, short=("seconds", "packages"))
        failed, count = len(conversion.failures), len(conversion.done)
        self.note(f"{count - failed} of {count} wheels in {conversion.seconds:.1f} s, {failed} failed")

    def report(self, report: Report, *, is_filtered: bool = False) -> None:
        """The findings, worst first; each with its evidence with `-v`, after a filter, and where there are few."""
        from bridge.cli.audit_text import report_lines

        for line in report_lines(report, is_detailed=self._verbose or is_filtered):
            self._out.print(line)

    def inventory(self, packages: PackageList) -> None:
        """The packages of a prefix with their origins."""
        rows = []
        from bridge.cli.audit_text import source_url

        for row in packages.rows:
            carried = [f"{each.name} {each.version}" for each in row.distributions]
            is_plain = carried == [f"{row.name} {row.version}"]
            origin = source_url(row) or short(row.origin or row.installer or "")
            asked = ", ".join(row.requested) or ("yes" if row.is_requested else "")
            provides = row.displacement or ("" if is_plain else few(carried))
            shown = (row.name, row.version, row.build or "", row.source, origin, asked, provides)
            attested = "; ".join(" ".join(each.values()) for each in row.attestations)
            rows.append((*shown, row.license or "", attested) if self._verbose else shown)
        titles = ("package", "version", "build", "from", "origin", "requested", "provides")
        self.table(
            (*titles, "licence", "attested by") if self._verbose else titles,
            rows,
            short=("build", "requested", "provides"),
        )

    def ownership(self, ownership: Ownership) -> None:
        """The owners of a path."""
        if not ownership.owners:
            there = "no package owns it" if ownership.actual is not None else "no such path, and no package owns one"
            self._out.print(f"{safe(ownership.path)}: {there}")
        shown = ownership.owners if self._verbose else ownership.owners[:_MAX_OWNERS]
        for owner in shown:
            what = f" ({owner.files} files below it)" if owner.files is not None else ""
            self._out.print(f"{safe(ownership.path)}: [bold]{safe(owner.owner)}[/], as {owner.role}{what}")
            for what, value in (("from", masked(owner.url or "")), ("sha256", owner.sha256)):
                if value and (owner.files is None or len(ownership.owners) == 1):
                    self._out.print(f"  {what} {safe(value)}")
        if len(ownership.owners) > len(shown):
            self._out.print(f"… and {len(ownership.owners) - len(shown)} more packages; -v and --json show all")

    def reasons(self, reasons: Reasons) -> None:
        """Why packages are installed."""
        from bridge.cli.audit_text import reason_lines

        for line in reason_lines(reasons, is_detailed=self._verbose):
            self._out.print(line)

    def cache(self, inspection: Inspection, *, is_pruned: bool) -> None:
        """The parts of the cache with their sizes, and what `--prune` removed."""
        rows = [(part.name, str(part.files), size(part.size), part.what) for part in inspection.parts]
        self.table(("part", "files", "size", "what"), rows, short=("what",))
        self.note(f"{inspection.directory}: {size(sum(part.size for part in inspection.parts))}")
        if is_pruned:
            self.note(f"removed {inspection.removed} files, {size(inspection.freed)}")
        after = "removed" if is_pruned else "fetched again when needed; --prune removes it"
        self.warn(f"damaged: {path} ({after})" for path in inspection.damaged)


def _json(value: object, indent: int | None = None) -> str:
    """JSON that standard output can encode; lone surrogates (names that are not UTF-8) are escaped."""
    return json.dumps(value, indent=indent, ensure_ascii=not is_unicode(sys.stdout))
