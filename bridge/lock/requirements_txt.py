"""Hashed requirements.txt of the wheel half, for `pip install --require-hashes` and `uv pip sync`."""

from __future__ import annotations

from pathlib import Path

from bridge.lock.conda_lock import only_environment
from bridge.lock.content import Content, Written
from bridge.lock.explicit import named, only_platform, requirement_text
from bridge.requirements.locked import LockedConda, LockedSource, LockedWheel
from bridge.secrets import public

__all__ = ["write_requirements"]


def write_requirements(content: Content, path: Path | None = None, *, has_hashes: bool = True) -> Written:  # noqa: ARG001 - as each writer
    """Return the pinned requirements of one platform. conda packages are named as comments.

    Raises `UsageError` (`lock-format`) for several platforms or environments.
    """
    environment = only_environment(content, "requirements.txt")
    platform, packages = only_platform(environment, "requirements.txt")
    conda = sorted((each for each in packages if isinstance(each, LockedConda)), key=lambda each: each.name)
    lines = [f"# platform: {platform}"]
    left_out = []
    if conda:
        lines += ["# conda packages, which pip does not install:"]
        lines += [f"#   {each.name} {each.version} {each.record.build}" for each in conda]
        names = ", ".join(each.name for each in conda[:8]) + (", …" if len(conda) > 8 else "")
        left_out.append(f"{len(conda)} conda package{'s' * (len(conda) > 1)}: {names}")
    if environment.indexes:
        first, *others = environment.indexes
        lines += [f"--index-url {public(first)}", *(f"--extra-index-url {public(url)}" for url in others)]
    lines += [f"--find-links {public(place)}" for place in environment.find_links]
    wheels = sorted((each for each in packages if not isinstance(each, LockedConda)), key=lambda each: each.name)
    without = [each.name for each in wheels if not each.sha256] if has_hashes else []
    for each in wheels:
        assert isinstance(each, (LockedWheel, LockedSource))
        lines.append(_line(each, is_mixed=bool(without)) if has_hashes else _pin(each))
    if without:
        names = ", ".join(without)
        left_out.append(f"the hash of {names}, which nothing records: pip checks the others by the hash in their URL")
    return Written(text="\n".join(lines) + "\n", left_out=tuple(left_out))


def _line(each: LockedWheel | LockedSource, *, is_mixed: bool) -> str:
    """Return the line of a project with its hash.

    :param is_mixed: others have no hash. pip refuses `--hash` then, and verifies a hash in the URL.
    """
    if not each.sha256:
        return requirement_text(each)
    if is_mixed:
        return f"{named(each)} @ {each.url.partition('#')[0]}#sha256={each.sha256}"
    return f"{_pin(each)} \\\n    --hash=sha256:{each.sha256}"


def _pin(each: LockedWheel | LockedSource) -> str:
    """Return the requirement of a project without its hash: by version, or by the URL that was asked for."""
    is_direct = not each.index or (isinstance(each, LockedWheel) and each.is_direct)
    return requirement_text(each) if is_direct else f"{named(each)}=={each.version}"
