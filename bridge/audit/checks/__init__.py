"""The checks: each kind of finding is one function, and one row of `CHECKS`, the only export."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bridge.audit.checks import (
    distributions,
    files,
    imports,
    locks,
    native,
    prefixes,
    programs,
    records,
    requirements,
    settings,
    startup,
    unowned,
)
from bridge.audit.finding import INTERRUPTED, Finding, Level
from bridge.audit.view import View
from converters.deferred import NamedTuple

__all__ = ["CHECKS", "Check"]


class Check(NamedTuple):
    """One kind of finding.

    :param level: the worst level of its findings.
    :param run: yields its findings; pure, and only findings of this `id`.
    """

    id: str
    level: Level
    run: Callable[[View], Iterator[Finding]]


CHECKS: tuple[Check, ...] = (
    Check(INTERRUPTED, "error", records.interrupted_transaction),
    Check("broken-record", "error", records.broken_record),
    Check("foreign-file", "warning", records.foreign_file),
    Check("duplicate-record", "error", records.duplicate_record),
    Check("missing-file", "error", files.missing_file),
    Check("modified-file", "error", files.modified_file),
    Check("clobbered-file", "error", files.clobbered_file),
    Check("unreadable-file", "error", files.unreadable_file),
    Check("double-owner", "error", files.double_owner),
    Check("shared-file", "info", files.shared_file),
    Check("edited-through-link", "error", files.edited_through_link),
    Check("broken-link", "error", files.broken_link),
    Check("outside-link", "warning", files.outside_link),
    Check("case-collision", "warning", files.case_collision),
    Check("unicode-collision", "warning", files.unicode_collision),
    Check("not-executable", "warning", programs.not_executable),
    Check("world-writable", "warning", programs.world_writable),
    Check("foreign-shebang", "error", programs.foreign_shebang),
    Check("foreign-prefix", "error", prefixes.foreign_prefix),
    Check("rewritten-prefix", "info", prefixes.rewritten_prefix),
    Check("broken-kernel", "warning", programs.broken_kernel),
    Check("broken-interpreter", "error", programs.broken_interpreter),
    Check("unowned-file", "info", unowned.unowned_file),
    Check("leftover", "error", unowned.leftover),
    Check("distribution-without-record", "error", distributions.distribution_without_record),
    Check("distribution-without-metadata", "error", records.distribution_without_metadata),
    Check("misnamed-distribution", "warning", distributions.misnamed_distribution),
    Check("unseen-distribution", "warning", startup.unseen_distribution),
    Check("record-lies", "error", records.record_lies),
    Check("duplicate-distribution", "error", distributions.duplicate_distribution),
    Check("unmanaged-distribution", "warning", distributions.unmanaged_distribution),
    Check("installer-lies", "info", distributions.installer_lies),
    Check("tolerated-archive", "info", records.tolerated_archive),
    Check("unmet-requirement", "error", requirements.unmet_requirement),
    Check("requires-python", "error", requirements.requires_python),
    Check("wheel-tag", "error", requirements.wheel_tag),
    Check("yanked-version", "warning", requirements.yanked_version),
    Check("project-status", "error", requirements.project_status),
    Check("lock-missing", "error", locks.lock_missing),
    Check("lock-extra", "error", locks.lock_extra),
    Check("lock-other", "error", locks.lock_other),
    Check("extension-tag", "error", native.extension_tag),
    Check("foreign-binary", "error", native.foreign_binary),
    Check("broken-binary", "error", native.broken_binary),
    Check("glibc-too-old", "error", native.glibc_too_old),
    Check("numpy-abi", "error", native.numpy_abi),
    Check("library-too-old", "error", native.library_too_old),
    Check("missing-library", "warning", native.missing_library),
    Check("duplicate-library", "warning", native.duplicate_library),
    Check("outside-rpath", "warning", native.outside_rpath),
    Check("unmet-import", "error", imports.unmet_import),
    Check("stale-bytecode", "error", imports.stale_bytecode),
    Check("orphaned-bytecode", "warning", imports.orphaned_bytecode),
    Check("hidden-module", "warning", imports.hidden_module),
    Check("pth-runs-code", "warning", startup.pth_runs_code),
    Check("pth-outside", "warning", startup.pth_outside),
    Check("broken-editable", "error", startup.broken_editable),
    Check("broken-setting", "error", settings.broken_setting),
    Check("unmet-pin", "warning", settings.unmet_pin),
    Check("missing-certificates", "warning", settings.missing_certificates),
    Check("no-file-locks", "warning", settings.no_file_locks),
    Check("user-site-shadow", "warning", startup.user_site_shadow),
    Check("python-path-shadow", "warning", startup.python_path_shadow),
    Check("standard-library-shadow", "warning", startup.standard_library_shadow),
)
