"""A plan as rows of a table. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from bridge.cli.texts import short, size
from bridge.model import UNKNOWN_CHANNEL, Change, Install, Operation, Plan, Reinstall, Remove
from converters.deferred import dataclass
from converters.record import Record

__all__ = ["COLUMNS", "MANY", "Transfer", "achieved", "choices", "rows", "source", "to_fetch", "totals"]

COLUMNS = ("", "package", "version", "build", "from", "size")
MANY = 24  # rows that a person reads before an answer; the totals tell of the others

_Kind = type[Install] | type[Change] | type[Reinstall] | type[Remove]
_WORDS: dict[_Kind, tuple[str, str]] = {
    Install: ("add", "added"),
    Change: ("change", "changed"),
    Reinstall: ("reinstall", "reinstalled"),
    Remove: ("remove", "removed"),
}


def rows(plan: Plan, most: int | None = None) -> tuple[list[tuple[str, ...]], int]:
    """One row for each operation, in the order of the plan, and the number of those that are left out.

    :param most: rows; only packages to add that nobody asked for are left out.
    """
    extra = 0 if most is None else max(len(plan.operations) - most, 0)
    plain = [each for each in plan.operations if isinstance(each, Install) and not each.new.requested]
    hidden = {id(each) for each in plain[len(plain) - min(extra, len(plain)) :]}
    return [_row(each) for each in plan.operations if id(each) not in hidden], len(hidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What has to be fetched: the bytes as far as sizes are known, and the number of archives whose size is not."""

    known: int
    unknown: int = 0

    def __str__(self) -> str:
        parts = [size(self.known)] if self.known else []
        parts += [f"{self.unknown} of unknown size"] if self.unknown else []
        return f"{' and '.join(parts) or 'nothing'} to fetch"


def to_fetch(plan: Plan, has: Callable[[str, str | None, str], bool]) -> Transfer:
    """What has to be fetched for a plan.

    :param has: whether an archive is on this machine: by URL, hash and name.
    """
    records = [each.new.record for each in plan.operations if not isinstance(each, Remove)]
    absent = [each for each in records if each.origin != "host" and not has(each.url, each.sha256, each.filename)]
    unknown = sum(each.size is None for each in absent)
    return Transfer(known=sum(each.size or 0 for each in absent), unknown=unknown)


def totals(plan: Plan, transfer: Transfer | None = None) -> str:
    """What a plan would do: `12 to add (8 conda, 4 wheel), 1 to remove (wheel); 123.4 MB to fetch`."""
    text = ", ".join(f"{count} to {_WORDS[kind][0]} ({of})" for kind, count, of in _counted(plan))
    if transfer is None or all(isinstance(each, Remove) for each in plan.operations):
        return text
    return f"{text}; {transfer}"


def choices(plan: Plan) -> Iterator[str]:
    """Yield why packages are not from the other ecosystem, one line for all that share a reason."""
    named: dict[str, list[str]] = {}
    for each in plan.operations:
        if not isinstance(each, Remove) and each.new.choice:
            named.setdefault(each.new.choice, []).append(each.new.record.name)
    for choice, names in named.items():
        yield f"{', '.join(names)}: {choice}"


def achieved(plan: Plan) -> str:
    """The same when it is done: `added 12 (8 conda, 4 wheel), removed 1 (wheel)`."""
    return ", ".join(f"{_WORDS[kind][1]} {count} ({of})" for kind, count, of in _counted(plan))


def _counted(plan: Plan) -> Iterator[tuple[_Kind, int, str]]:
    """The kinds of operations of a plan, how many, and of which ecosystems."""
    for kind in _WORDS:
        records = [
            each.old.record if isinstance(each, Remove) else each.new.record
            for each in plan.operations
            if isinstance(each, kind)
        ]
        if records:
            counts = Counter(each.ecosystem for each in records)
            each_of = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            yield kind, len(records), each_of if len(counts) > 1 else next(iter(counts))


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
    is_wheel = record.filename.endswith(".whl") or not record.url  # without a URL: what another installer put there
    is_built = record.ecosystem == "wheel" and not is_wheel
    kind = "source, to build" if is_built else record.ecosystem
    return f"{kind} {urlsplit(record.url).netloc if record.origin == UNKNOWN_CHANNEL else short(record.origin)}"
