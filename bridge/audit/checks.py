"""The table of checks. A further kind of finding is one function and one row here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.audit import files, records, requirements, unowned
from bridge.audit.finding import INTERRUPTED, Finding, Level
from bridge.audit.view import View

__all__ = ["CHECKS", "Check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One kind of finding.

    :param level: the worst level that its findings have.
    :param summary: one line for the documentation and for `--fail-on`.
    :param run: yields its findings; pure, and only findings of this `id`.
    """

    id: str
    level: Level
    summary: str
    run: Callable[[View], Iterator[Finding]]


def _check(name: str, level: Level, summary: str, run: Callable[[View], Iterator[Finding]]) -> Check:
    return Check(id=name, level=level, summary=summary, run=run)


CHECKS: tuple[Check, ...] = (
    _check(
        INTERRUPTED, "error", "a transaction was neither finished nor undone (exit 9)", records.interrupted_transaction
    ),
    _check("broken-record", "error", "a record cannot be read as what it claims to be", records.broken_record),
    _check("duplicate-record", "error", "conda-meta has two records of one package", records.duplicate_record),
    _check("missing-file", "error", "a path that a record lists is not there", files.missing_file),
    _check("modified-file", "error", "a file is not what its record promises", files.modified_file),
    _check("clobbered-file", "error", "a file was written over by another package", files.clobbered_file),
    _check("unreadable-file", "error", "a file could not be compared with its record", files.unreadable_file),
    _check("double-owner", "error", "two records promise different bytes for one path", files.double_owner),
    _check("broken-link", "error", "an owned link leads nowhere", files.broken_link),
    _check("case-collision", "warning", "owned paths differ only in case", files.case_collision),
    _check("unowned-file", "warning", "no record claims a file or a directory", unowned.unowned_file),
    _check("leftover", "error", "an interrupted pip left what it had moved aside", unowned.leftover),
    _check("distribution-without-record", "error", "a dist-info has no RECORD", records.distribution_without_record),
    _check("duplicate-distribution", "error", "two dist-infos are of one project", records.duplicate_distribution),
    _check(
        "unmanaged-distribution", "warning", "no conda-meta record covers a dist-info", records.unmanaged_distribution
    ),
    _check("installer-lies", "info", "INSTALLER names another than the owner", records.installer_lies),
    _check(
        "unmet-requirement", "error", "a requirement is not met, or is contradicted", requirements.unmet_requirement
    ),
    _check("requires-python", "error", "a distribution is made for another python", requirements.requires_python),
    _check("wheel-tag", "error", "a wheel is made for another platform or python", requirements.wheel_tag),
)
