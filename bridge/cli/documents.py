"""JSON documents for values without a `to_json` of their own. Each has a schema in `bridge/schemas/`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import BridgeError
from bridge.model import Change, Install, Plan, Reinstall, Remove, Resolution, Resolved
from converters.record import Record

if TYPE_CHECKING:
    from bridge.convert.channel_index import ChannelIndex
    from bridge.convert.job import Conversion
    from bridge.convert.mirrored import Mirrored
    from bridge.install.applied import AppliedPlan

__all__ = ["channel_index", "conversion", "error", "mirror", "outcome", "package", "plan", "resolution"]


def package(resolved: Resolved) -> dict[str, object]:
    """A package of a solution; conda records have a `channel`, wheels an `index`."""
    record = resolved.record
    return {
        "name": record.name,
        "version": record.version,
        "build": record.build,
        "subdir": record.subdir,
        "source": record.ecosystem,
        "channel" if record.ecosystem == "conda" else "index": record.origin,
        "filename": record.filename,
        "url": record.url,
        "sha256": record.sha256,
        "size": record.size,
        "pypi_names": list(record.pypi_names),
        "requested": bool(resolved.requested),
        "required_by": list(resolved.required_by),
        "extras": list(resolved.extras),
        "evidence": resolved.evidence,
        "choice": resolved.choice or None,
    }


def resolution(solution: Resolution) -> dict[str, object]:
    """The document of `bridge resolve --json`."""
    statistics = solution.statistics
    return {
        "platform": solution.target.subdir,
        "virtual_packages": {name: version for name, version, _ in solution.target.virtual_packages},
        "packages": [package(resolved) for resolved in solution.packages],
        "statistics": {
            "rounds": statistics.rounds,
            "backtracks": statistics.backtracks,
            "candidates_seen": statistics.candidates_seen,
            "metadata_fetched": statistics.metadata_fetched,
            "seconds": round(statistics.seconds, 3),
        },
        "warnings": list(solution.warnings),
    }


_WORDS = {Install: "install", Change: "change", Reinstall: "reinstall", Remove: "remove"}


def plan(planned: Plan) -> dict[str, object]:
    """A plan: its operations in order, with the old and the new package."""
    operations = []
    for operation in planned.operations:
        entry: dict[str, object] = {"operation": _WORDS[type(operation)]}
        if isinstance(operation, (Change, Reinstall, Remove)):
            entry["old"] = _named(operation.old.record)
        if isinstance(operation, (Install, Change, Reinstall)):
            entry["new"] = package(operation.new)
        operations.append(entry)
    return {"prefix": str(planned.prefix), "platform": planned.target.subdir, "operations": operations}


def outcome(done: AppliedPlan, *, is_dry_run: bool = False) -> dict[str, object]:
    """The document of `create`, `install`, `update` and `remove`."""
    staged = done.staged
    return {
        **plan(done.plan),
        "dry_run": is_dry_run,
        "kept_aside": [{"path": kept.path, "saved_as": kept.saved} for kept in staged.kept_aside] if staged else [],
        "link_scripts_not_run": list(done.link_scripts),
        "seconds": round(done.seconds, 3),
    }


def conversion(made: Conversion) -> dict[str, object]:
    """The document of `convert`."""
    packages = [
        {
            **_named(converted.record),
            "subdir": converted.record.subdir,
            "wheel": done.text,
            "path": str(converted.path),
            "sha256": converted.record.sha256,
            "size": converted.record.size,
            "reused": done.is_reused,
            "notes": [note.text for note in converted.notes],
        }
        for done in made.done
        for converted in done.packages
    ]
    records = [
        {
            **{key: wheel.entry.record.get(key) for key in ("name", "version", "build", "subdir", "url", "sha256")},
            "wheel": done.text,
            "notes": [note.text for note in wheel.notes],
        }
        for done in made.done
        for wheel in done.wheels
    ]
    tests = [
        {"wheel": done.text, "modules": list(done.tested), "passed": done.error is None, "untested": done.untested}
        for done in made.done
        if done.tested or done.untested
    ]
    return {
        "packages": packages,
        "records": records,
        **({"tests": tests} if tests else {}),
        "failures": [{"wheel": name, **error(failure)} for name, failure in made.failures.items()],
        "warnings": list(made.warnings),
        "unconfirmed_names": list(made.unconfirmed),
        "summary": {
            "wheels": len(made.done),
            "converted": sum(done.error is None and not done.is_reused for done in made.done),
            "reused": sum(done.is_reused for done in made.done),
            "failed": len(made.failures),
            "seconds": round(made.seconds, 3),
        },
    }


def channel_index(index: ChannelIndex) -> dict[str, object]:
    """The document of `index`."""
    return {
        "channel": str(index.channel),
        "subdirs": {subdir: len(packages) for subdir, packages in index.subdirs.items()},
        "read": index.read,
        "failures": [{"path": str(path), **error(failure)} for path, failure in index.failures.items()],
        "left_out": list(index.left_out),
        "deleted": list(map(str, index.deleted)),
        "signed": list(map(str, index.signed)),
        "dry_run": index.is_dry_run,
        "warnings": list(index.warnings),
        "seconds": round(index.seconds, 3),
    }


def mirror(mirrored: Mirrored) -> dict[str, object]:
    """The document of `mirror`: that of `convert`, and what the mirror has."""
    counts = {"projects": mirrored.projects, "wheels": mirrored.wheels, "known": mirrored.known}
    return {**conversion(mirrored.conversion), "mirror": counts, "deleted": list(map(str, mirrored.deleted))}


def error(failure: BridgeError) -> dict[str, object]:
    """The document of a command that failed."""
    derivation = failure.objects.get("derivation")
    document: dict[str, object] = {"id": failure.id, "message": failure.message, "context": list(failure.context)}
    from bridge.cli.next_steps import next_step

    if hint := next_step(failure):
        document["hint"] = hint
    if derivation is not None:
        document["derivation"] = derivation
    return {"error": document}


def _named(record: Record) -> dict[str, object]:
    return {"name": record.name, "version": record.version, "build": record.build, "source": record.ecosystem}
