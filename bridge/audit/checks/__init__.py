"""The table of checks. A further kind of finding is one function and one row here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.audit.checks import files, native, prefixes, programs, records, requirements, startup, unowned
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
    _check("foreign-file", "warning", "a file in conda-meta is no record", records.foreign_file),
    _check("duplicate-record", "error", "conda-meta has two records of one package", records.duplicate_record),
    _check("missing-file", "error", "a path that a record lists is not there", files.missing_file),
    _check("modified-file", "error", "a file is not what its record promises", files.modified_file),
    _check("clobbered-file", "error", "a file was written over by another package", files.clobbered_file),
    _check("unreadable-file", "error", "a file could not be compared with its record", files.unreadable_file),
    _check("double-owner", "error", "two records promise different bytes for one path", files.double_owner),
    _check(
        "edited-through-link", "error", "a changed file is the same inode as one of a cache", files.edited_through_link
    ),
    _check("broken-link", "error", "an owned link leads nowhere", files.broken_link),
    _check("outside-link", "warning", "an owned link leads out of the environment", files.outside_link),
    _check("case-collision", "warning", "paths differ only in case", files.case_collision),
    _check("unicode-collision", "warning", "paths differ only in their composition", files.unicode_collision),
    _check("not-executable", "warning", "a package's script may not be run", programs.not_executable),
    _check("world-writable", "warning", "everybody may change a package's file", programs.world_writable),
    _check("foreign-shebang", "error", "a script's interpreter is gone, or another's", programs.foreign_shebang),
    _check("foreign-prefix", "error", "a file names the prefix of another environment", prefixes.foreign_prefix),
    _check("rewritten-prefix", "info", "a file names this prefix, its record another", prefixes.rewritten_prefix),
    _check("broken-interpreter", "error", "python is gone, or another one", programs.broken_interpreter),
    _check("unowned-file", "warning", "no record claims a file or a directory", unowned.unowned_file),
    _check("leftover", "error", "an interrupted pip left what it had moved aside", unowned.leftover),
    _check("distribution-without-record", "error", "a dist-info has no RECORD", records.distribution_without_record),
    _check(
        "distribution-without-metadata", "error", "a dist-info has no METADATA", records.distribution_without_metadata
    ),
    _check(
        "misnamed-distribution", "warning", "a dist-info's folder contradicts METADATA", records.misnamed_distribution
    ),
    _check("unseen-distribution", "warning", "python does not read where it lies", startup.unseen_distribution),
    _check("record-lies", "error", "conda-meta contradicts itself or a dist-info", records.record_lies),
    _check("duplicate-distribution", "error", "two dist-infos are of one project", records.duplicate_distribution),
    _check(
        "unmanaged-distribution", "warning", "no conda-meta record covers a dist-info", records.unmanaged_distribution
    ),
    _check("installer-lies", "info", "INSTALLER names another than the owner", records.installer_lies),
    _check(
        "tolerated-archive", "info", "a conda archive was accepted in spite of something", records.tolerated_archive
    ),
    _check(
        "unmet-requirement", "error", "a requirement is not met, or is contradicted", requirements.unmet_requirement
    ),
    _check("requires-python", "error", "a distribution is made for another python", requirements.requires_python),
    _check("wheel-tag", "error", "a wheel is made for another platform or python", requirements.wheel_tag),
    _check(
        "yanked-version", "warning", "a project took a version back (asked with --online)", requirements.yanked_version
    ),
    _check("extension-tag", "error", "python does not import an extension module", native.extension_tag),
    _check("foreign-binary", "error", "a binary is made for another machine", native.foreign_binary),
    _check("broken-binary", "error", "a program or library cannot be read as one", native.broken_binary),
    _check("glibc-too-old", "error", "a binary needs a newer glibc", native.glibc_too_old),
    _check("numpy-abi", "error", "an extension was built for another numpy", native.numpy_abi),
    _check("missing-library", "warning", "an extension needs a library that is nowhere", native.missing_library),
    _check("duplicate-library", "warning", "OpenMP, BLAS or libstdc++ is loaded twice", native.duplicate_library),
    _check("outside-rpath", "warning", "a library is looked for outside", native.outside_rpath),
    _check("pth-runs-code", "warning", "every start of python runs code of a .pth", startup.pth_runs_code),
    _check("pth-outside", "warning", "a .pth leads outside, or nowhere", startup.pth_outside),
    _check("broken-editable", "error", "the working copy of an editable is gone", startup.broken_editable),
    _check("user-site-shadow", "warning", "the user's own packages come first", startup.user_site_shadow),
    _check("python-path-shadow", "warning", "PYTHONPATH hides modules", startup.python_path_shadow),
    _check(
        "standard-library-shadow", "warning", "a module is called like python's own", startup.standard_library_shadow
    ),
)
