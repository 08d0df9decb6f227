"""A plan as rows of a table. Pure."""

from __future__ import annotations

from bridge.cli.texts import short, size
from bridge.model import Change, Install, Operation, Plan, Reinstall, Remove
from converters.record import Record

__all__ = ["COLUMNS", "rows", "source"]

COLUMNS = ("", "package", "version", "build", "from", "size")


def rows(plan: Plan) -> list[tuple[str, ...]]:
    """One row for each operation, in the order of the plan."""
    return list(map(_row, plan.operations))


def _row(operation: Operation) -> tuple[str, ...]:
    if isinstance(operation, Remove):
        return "-", *_cells(operation.old.record), ""
    record = operation.new.record
    name, version, *others = _cells(record)
    if isinstance(operation, Change):
        version = f"{operation.old.record.version} → {version}"
    mark = "+" if isinstance(operation, Install) else "=" if isinstance(operation, Reinstall) else "~"
    return mark, name, version, *others, size(record.size) if record.size else ""


def _cells(record: Record) -> tuple[str, str, str, str]:
    return record.name, record.version, record.build, source(record)


def source(record: Record) -> str:
    """Where a package comes from: `conda conda-forge`."""
    is_built = record.ecosystem == "wheel" and not record.filename.endswith(".whl")
    kind = "source, to build" if is_built else record.ecosystem
    return f"{kind} {short(record.origin)}"
