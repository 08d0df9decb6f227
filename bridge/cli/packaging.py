"""The options of the commands that make packages of wheels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bridge.cli.declaring import grouped, option
from bridge.cli.options import Command
from bridge.errors import UsageError
from converters.compression import BEST_LEVEL, DEFAULT_LEVEL, HIGHEST_LEVEL
from converters.deferred import dataclass, replace

if TYPE_CHECKING:
    from bridge.convert.job import Conversion
    from bridge.convert.rules import RuleOptions
    from bridge.convert.wheel import Format
    from converters.rules import DependencyRules

__all__ = ["Packaging", "packaging"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaging:
    """How packages are made of wheels; the last four are the rules for dependencies, as in whl2conda."""

    archive_format: Format
    compression: str
    as_records: bool
    jobs: int
    dask: str | None
    renames: Sequence[tuple[str, str]]
    added: Sequence[str]
    dropped: Sequence[str]
    pinned: Sequence[str]

    @property
    def level(self) -> int:
        """The zstd level. Raises `UsageError` (`compression`)."""
        if self.compression == "best":
            return BEST_LEVEL
        text = self.compression
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= HIGHEST_LEVEL):
            raise UsageError(
                "compression", f"--compression: {text!r} is not a level", hint="give a number from 1 to 22, or `best`"
            )
        return int(text)

    def rules(self) -> DependencyRules:
        """The rules of the options and of the project in the working directory. Raises as `read_rules`."""
        from bridge.config.project import project_table
        from bridge.convert.rules import read_rules

        return read_rules(self._given(), project_table(Path.cwd(), "convert"))

    def with_unmatched(self, conversion: Conversion) -> Conversion:
        """The conversion, with warnings about rules of the options that changed nothing.

        The rules of a project are for all its conversions, so that one conversion need not use each.
        """
        from bridge.convert.rules import read_rules, unmatched

        return replace(conversion, unmatched=unmatched(read_rules(self._given(), None), conversion))

    def _given(self) -> RuleOptions:
        from bridge.convert.rules import RuleOptions

        return RuleOptions(rename=self.renames, add=self.added, drop=self.dropped, pin=self.pinned)


def packaging(command: Command) -> Command:
    """How packages are made of wheels, and the rules for their dependencies; the command takes them as `packaging`."""

    @functools.wraps(command)
    def with_packaging(
        archive_format: str,
        compression: str,
        wheels_as_records: bool,
        jobs: int,
        dask: str | None,
        dependency_rename: Sequence[tuple[str, str]],
        add_dependency: Sequence[str],
        drop_dependency: Sequence[str],
        pin_dependency: Sequence[str],
        **options: object,
    ) -> object:
        chosen = Packaging(
            archive_format=cast("Format", archive_format),
            compression=compression,
            as_records=wheels_as_records,
            jobs=jobs,
            dask=dask,
            renames=dependency_rename,
            added=add_dependency,
            dropped=drop_dependency,
            pinned=pin_dependency,
        )
        return command(packaging=chosen, **options)

    rules = (
        option("--dependency-rename", nargs=2, multiple=True, metavar="PROJECT NAME", help="Write dependencies on"
                     " PROJECT, or on those that a regular expression matches, as the conda package NAME."),
        option("--add-dependency", multiple=True, metavar="MATCHSPEC", help="Let every package also depend on"
                     " this conda package."),
        option("--drop-dependency", multiple=True, metavar="PROJECT", help="Ignore requirements on PROJECT."),
        option("--pin-dependency", multiple=True, metavar="MATCHSPEC", help="Narrow the versions of this conda"
                     " package where a package depends on it."),
    )  # fmt: skip
    options = (
        option("--wheels-as-records", is_flag=True, help="Do not repack: write repodata v3 that points to the"
                     " wheels."),
        option("--format", "archive_format", choices=("conda", "tar.bz2"), default="conda",
                     show_default=True, help="Archive format."),
        option("--compression", metavar="LEVEL|best", default=str(DEFAULT_LEVEL), show_default=True,
                     help="zstd level, 1 to 22, or `best` for packages that are downloaded often."),
        option("-j", "--jobs", metavar="N", least=1, default=1, show_default=True,
                     help="Number of processes."),
        option("--dask", metavar="ADDRESS", help="Convert on the workers of a Dask scheduler."),
    )  # fmt: skip
    ruled = grouped(cast("Command", with_packaging), "Rules for dependencies", rules)
    return functools.reduce(lambda decorated, one: one(decorated), reversed(options), ruled)
