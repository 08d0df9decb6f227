"""Resolve a package's symbolic links as the kernel does, without a file system."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.archive.refusal import refused, shown
from converters.deferred import regex

__all__ = ["check_links"]

_HOPS = 40  # Linux's limit
_STEPS = 2_000_000  # path components for all links together; real packages need thousands
_ABSOLUTE = regex(r"[/\\]|[A-Za-z]:[/\\]")


def check_links(links: Mapping[str, str], archive: str) -> None:
    """Refuse links that leave the tree, also through other links (CA04, CA05).

    :param links: path → target, as written.

    Raises `UnsafeInputError` (`path-escape`, `limit-entries`).
    """
    steps = _STEPS
    for path, target in links.items():
        used = None if _is_absolute(target) else _follow(path, links, steps)
        if used is None:
            problem = f"a symbolic link to {shown(target)}, outside the package"
            raise refused("path-escape", archive, problem, member=path)
        steps -= used
        if steps <= 0:
            raise refused("limit-entries", archive, "its symbolic links take too many steps to resolve", member=path)


def _is_absolute(target: str) -> bool:
    climbs = "\\" in target and ".." in target.replace("\\", "/").split("/")
    return bool(_ABSOLUTE.match(target)) or climbs


def _follow(path: str, links: Mapping[str, str], most: int) -> int | None:
    """The number of components followed from a link to its target; `None` if it leaves the tree."""
    parents = path.split("/")[:-1]
    ahead = links[path].split("/")[::-1]
    hops = steps = 0
    while ahead and steps < most:
        steps += 1
        part = ahead.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not parents:
                return None
            parents.pop()
            continue
        parents.append(part)
        further = links.get("/".join(parents))
        if further is not None:
            hops += 1
            if hops > _HOPS:
                return steps
            if _is_absolute(further):
                return None
            parents.pop()
            ahead.extend(further.split("/")[::-1])
    return steps
