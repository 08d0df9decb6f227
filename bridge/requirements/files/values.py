"""What a file of requirements says, and how it is told where one is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from bridge.config.builds import Formats
from bridge.config.files import read_named
from bridge.errors import UsageError
from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement
from bridge.secrets import masked

__all__ = ["FileRequirements", "read_text", "unique", "wrong"]

MAX_SIZE = 8 << 20  # bytes; a file of ten thousand requirements with their hashes stays below


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequirements:
    """What one file asks for, in its order, without repetitions.

    :param constraints: what must hold of a project if it is installed at all (pip's `-c`).
    :param channels: of an environment.yml, highest priority first. `name`: the environment's.
    :param index_url: instead of any other index; `extra_index_urls` and `find_links` come beside it, `no_index` has
        none asked. As they are written, credentials included: mask them before they are shown.
    :param pre: pre-releases may compete; `formats`: what may come as a wheel or as source only.
    :param hashes: project → the sha256 (lower-case hex) that its files may have. `require_hashes`: whatever is
        installed must have one of these, what the requirements need in their turn included.
    :param files: project → the files that a lock names; `Index(locked=…)` takes them.
    :param requires_python: the PEP 440 specifier of the project, or of the lock. `environments`: markers, of which a
        lock has one hold (PEP 751).
    :param warnings: what was read and does nothing, a sentence each.
    """

    requirements: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    name: str | None = None
    channels: tuple[str, ...] = ()
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    pre: bool = False
    formats: Formats = field(default_factory=Formats)
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    require_hashes: bool = False
    files: Mapping[str, tuple[IndexFile, ...]] = field(default_factory=dict)
    requires_python: str | None = None
    environments: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def unique(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """The requirements in their order, each text once."""
    return tuple({(requirement.kind, requirement.text): requirement for requirement in requirements}.values())


def wrong(
    path: Path,
    where: int | str | None,
    problem: str,
    *,
    context: Iterable[str] = (),
    hint: str | None = None,
) -> UsageError:
    """The error for a file that cannot be used. `where`: the number of a line, or the name of a field."""
    place = f"{path}, line {where}" if isinstance(where, int) else f"{path}, {where}" if where else str(path)
    return UsageError(
        "requirement-file",
        f"{place}: {masked(problem)}",
        context=[masked(line) for line in context],
        hint=hint,
        objects={"path": str(path), "where": where},
    )


@cache
def _piped(path: Path) -> bytes:
    """What came through a pipe, as in `-r <(…)`: it is read once, and a file of requirements is looked into twice."""
    return read_named(path, limit=MAX_SIZE)


def read_text(path: Path, limit: int = MAX_SIZE) -> str:
    """The text of a file, UTF-8 with or without a mark of its byte order. Raises `UsageError` (`requirement-file`)."""
    try:
        data = read_named(path, limit=limit) if path.is_file() else _piped(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise wrong(path, None, f"the file cannot be read: {reason}") from error
    if len(data) > limit:
        raise wrong(path, None, f"the file is larger than {limit} bytes, which no file of requirements is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise wrong(path, line, "the text is not UTF-8", hint="save the file as UTF-8") from error
