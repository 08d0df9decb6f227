"""Hashed requirements.txt of the wheel half, for `pip install --require-hashes` and `uv pip sync`."""

from __future__ import annotations

from pathlib import Path

from bridge.lock.conda_lock import only_environment
from bridge.lock.content import Content, Written
from bridge.lock.explicit import only_platform, requirement_text
from bridge.requirements.locked import LockedConda, LockedSource, LockedWheel
from bridge.secrets import public

__all__ = ["write_requirements"]


def write_requirements(content: Content, path: Path) -> Written:  # noqa: ARG001 - as each writer
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
        left_out.append(f"{len(conda)} conda packages: {', '.join(each.name for each in conda[:8])}"
                        + (", …" if len(conda) > 8 else ""))  # fmt: skip
    if environment.indexes:
        first, *others = environment.indexes
        lines += [f"--index-url {public(first)}", *(f"--extra-index-url {public(url)}" for url in others)]
    lines += [f"--find-links {public(place)}" for place in environment.find_links]
    for each in sorted((each for each in packages if not isinstance(each, LockedConda)), key=lambda each: each.name):
        assert isinstance(each, (LockedWheel, LockedSource))
        is_direct = not each.index or (isinstance(each, LockedWheel) and each.is_direct)
        text = requirement_text(each) if is_direct else f"{each.name}=={each.version}"
        if each.sha256:
            lines.append(f"{text} \\\n    --hash=sha256:{each.sha256}")
        else:
            lines.append(text)
            left_out.append(f"the hash of {each.name}, which nothing records: `--require-hashes` refuses it")
    return Written(text="\n".join(lines) + "\n", left_out=tuple(left_out))
