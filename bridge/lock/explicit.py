"""Explicit lists: `@EXPLICIT`, a URL with its hash on each line; wheels stand as conda-lock writes them."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import UsageError
from bridge.lock.conda_lock import only_environment
from bridge.lock.content import Content, Written
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment, LockedSource
from bridge.requirements.names import name_of
from bridge.sdists.location import source_of

__all__ = ["named", "only_platform", "requirement_text", "write_explicit"]


def write_explicit(content: Content, path: Path) -> Written:  # noqa: ARG001 - as each writer
    """Return an explicit list of one platform.

    conda reads the lines of conda packages and takes those of wheels for comments; `bridge -r` and conda-lock read
    both. Raises `UsageError` (`lock-format`) for several platforms or environments.
    """
    environment = only_environment(content, "an explicit list")
    platform, packages = only_platform(environment, "an explicit list")
    conda = [each for each in packages if isinstance(each, LockedConda)]
    others = sorted((each for each in packages if not isinstance(each, LockedConda)), key=lambda each: each.name)
    left_out = []
    lines = [f"# platform: {platform}", "@EXPLICIT"]
    for each in _in_order(conda):
        if not (each.sha256 or each.record.md5):
            left_out.append(f"{each.name} has no hash to write")
        lines.append(each.url + (f"#sha256:{each.sha256}" if each.sha256 else f"#{each.record.md5 or ''}".rstrip("#")))
    for other in others:
        text = requirement_text(other)
        if not other.url:
            left_out.append(f"{text}, whose file is not recorded")
            continue
        if isinstance(other, LockedSource) and other.is_editable:
            text = f"{other.name} @ {text.removeprefix('-e ')}"
            left_out.append(f"{other.name} is editable: the list names its folder, which is installed as a copy")
        lines.append(f"# pip {text}" + (f" --hash=sha256:{other.sha256}" if other.sha256 else ""))
        if not other.sha256:
            left_out.append(f"{other.name} is source code without a hash: {text}")
    if others:
        left_out.append("conda reads no wheels: their lines are comments for it (bridge and conda-lock read them)")
    return Written(text="\n".join(lines) + "\n", left_out=tuple(left_out))


def only_platform(environment: LockedEnvironment, form: str) -> tuple[str, tuple[Locked, ...]]:
    """Return the platform of an environment that has one, and its packages. Raises `UsageError` (`lock-format`)."""
    if len(environment.packages) == 1:
        return next(iter(environment.packages.items()))
    raise UsageError(
        "lock-format",
        f"{form} holds one platform, and there are {len(environment.packages)}",
        context=(f"platforms: {', '.join(sorted(environment.packages))}",),
        hint="choose one with --platform SUBDIR, or write a bridge.lock",
    )


def _in_order(packages: list[LockedConda]) -> list[LockedConda]:
    """Return packages with those they depend on before them: conda links an explicit list in its order."""
    by_name = {each.name: each for each in sorted(packages, key=lambda each: each.name)}
    ordered: dict[str, LockedConda] = {}
    for name in by_name:
        _add(name, by_name, ordered, set())
    return list(ordered.values())


def _add(name: str, by_name: dict[str, LockedConda], ordered: dict[str, LockedConda], entered: set[str]) -> None:
    stack = [(name, iter(_needs(by_name[name])))]
    entered.add(name)
    while stack:
        here, needs = stack[-1]
        following = next(
            (need for need in needs if need in by_name and need not in ordered and need not in entered), None
        )
        if following is None:
            ordered.setdefault(here, by_name[here])
            stack.pop()
        else:
            entered.add(following)
            stack.append((following, iter(_needs(by_name[following]))))


def _needs(each: LockedConda) -> list[str]:
    return [name_of(text) for text in each.record.requirements if text]


def requirement_text(each: Locked) -> str:
    """Return `NAME @ URL`, or `-e URL` of an editable folder; git at the commit that is locked.

    What another installer installed from an index has no URL: `NAME==VERSION`.
    """
    name = named(each)
    if not each.url:
        return f"{name}=={each.version}"
    if isinstance(each, LockedSource):
        source = source_of(each.url)
        if each.is_editable and source is not None:
            return f"-e {source.url}" + (f"#subdirectory={source.subdirectory}" if source.subdirectory else "")
    return f"{name} @ {each.url}"


def named(each: Locked) -> str:
    """Return the name of a project with the extras that were asked for."""
    extras = () if isinstance(each, LockedConda) else each.extras
    return f"{each.name}[{','.join(extras)}]" if extras else each.name
