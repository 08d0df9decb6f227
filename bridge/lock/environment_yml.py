"""environment.yml (CEP 24): each conda package by version and build, each wheel by URL and hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge.lock.conda_lock import only_environment
from bridge.lock.content import Content, Written
from bridge.lock.explicit import only_platform, requirement_text
from bridge.lock.yaml_text import yaml_text
from bridge.model import UNKNOWN_CHANNEL
from bridge.requirements.locked import Locked, LockedConda

__all__ = ["environment_document", "write_environment"]


def write_environment(content: Content, path: Path) -> Written:  # noqa: ARG001 - as each writer
    """Return an environment.yml of one platform, all packages pinned; a record without a build, by its version.

    Raises `UsageError` (`lock-format`) for several platforms or environments.
    """
    environment = only_environment(content, "environment.yml")
    _, packages = only_platform(environment, "environment.yml")
    conda = sorted((each for each in packages if isinstance(each, LockedConda)), key=lambda each: each.name)
    wheels = sorted((each for each in packages if not isinstance(each, LockedConda)), key=lambda each: each.name)
    left_out = ["the hashes of conda packages: environment.yml pins version and build"] if conda else []
    pip = [_pip(each) for each in wheels]
    if wheels and environment.indexes:
        left_out.append("the package indexes: each wheel is named by its URL")
    if "host" in environment.channels:
        left_out.append("where the packages of the channel `host` are: only bridge knows it, on this machine")
    text = environment_document(
        name=content.name,
        channels=environment.channels,
        conda=[_conda(each) for each in conda],
        wheels=pip,
        variables=content.variables,
    )
    return Written(text=text, left_out=tuple(left_out))


def _conda(each: LockedConda) -> str:
    if each.record.origin in {"", UNKNOWN_CHANNEL} and each.record.url:  # no channel has it
        return each.record.url
    return "=".join(filter(None, (each.name, each.version, each.record.build)))


def _pip(each: Locked) -> str:
    text = requirement_text(each)
    return f"{text}#sha256={each.sha256}" if each.sha256 and "#" not in text else text


def environment_document(
    *,
    name: str | None,
    channels: Iterable[str],
    conda: Iterable[str],
    wheels: Iterable[str],
    variables: Mapping[str, str],
) -> str:
    """Return the text of an environment file (CEP 24)."""
    pip = list(wheels)
    pips = [{"pip": pip}] if pip else []
    # conda asks for pip where `pip:` is used; it is added unless it is there.
    dependencies: list[object] = [*conda, *pips]
    document: dict[str, object] = {"name": name} if name else {}
    document |= {"channels": list(channels), "dependencies": dependencies}
    if variables:
        document["variables"] = dict(variables)
    return yaml_text(document)
