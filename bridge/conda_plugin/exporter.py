"""`conda export --format bridge`: an environment.yml that names each wheel by URL and hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.lock.environment_yml import environment_document
from bridge.model import Distribution, Installed, PrefixState
from bridge.prefix.entries import paths_of
from bridge.sdists.location import pinned, source_of
from converters.projects import canonicalize_name

__all__ = ["export", "wheel_line", "wheel_lines"]


def export(environment: Any) -> str:  # noqa: ANN401 - conda's `Environment`
    """The environment file of a conda `Environment` that was read from a prefix.

    Raises conda's `CondaValueError` for any other, and for another platform, whose wheels are unknown.
    """
    from conda.base.context import context
    from conda.exceptions import CondaValueError

    from bridge.prefix import read

    if not environment.prefix or environment.platform != context.subdir:
        raise CondaValueError("this format can only export an existing environment, on its own platform")
    state = read(Path(environment.prefix))
    wheels = {each.record.name for each in state.installed if each.record.ecosystem == "wheel"}
    asked = [each for each in environment.requested_packages if each.name not in wheels]
    # Wheels come from indexes, which are not channels.
    indexes = {each.record.origin.rstrip("/") for each in state.installed if each.record.ecosystem == "wheel"}
    channels = [each for each in environment.config.channels if each.rstrip("/") not in indexes]
    return environment_document(
        name=environment.name,
        channels=channels,
        conda=[each.conda_env_form() for each in asked],
        wheels=wheel_lines(state),
        variables=environment.variables,
    )


def wheel_lines(state: PrefixState) -> list[str]:
    """A pip requirement for each distribution that no conda package installed, sorted."""
    records = {
        path.rpartition("/")[0]: installed for installed in state.installed for path in paths_of(installed.entries)
    }
    lines = []
    for each in state.distributions:
        if state.site_packages is not None and each.path.rpartition("/")[0] != state.site_packages:
            continue
        record = records.get(each.path) or records.get(f"site-packages/{each.path.rpartition('/')[2]}")
        if record is None or record.record.ecosystem == "wheel":
            lines.append(wheel_line(each, record))
    return sorted(lines)


def wheel_line(distribution: Distribution, record: Installed | None) -> str:
    """`NAME @ URL#sha256=…` if a record or direct_url.json (PEP 610) gives the origin, else `NAME==VERSION`.

    A record of another version is ignored: pip has replaced its wheel.
    """
    name = canonicalize_name(distribution.name)
    if record is not None and record.record.version == distribution.version and "://" in record.record.url:
        digest, source = record.record.sha256, source_of(record.record.url)
        if source is not None and source.is_editable:
            return f"-e {source.url}" + (f"#subdirectory={source.subdirectory}" if source.subdirectory else "")
        if source is not None and digest is None:
            return f"{name} @ {pinned(record.record.url, record.record.revision)}"
        return f"{name} @ {record.record.url}" + (f"#sha256={digest}" if digest else "")
    return _direct(distribution, name) or f"{name}=={distribution.version}"


def _direct(distribution: Distribution, name: str) -> str | None:
    direct_url = distribution.direct_url or {}
    url, vcs, archive = direct_url.get("url"), direct_url.get("vcs_info"), direct_url.get("archive_info")
    if not isinstance(url, str):
        return None
    if isinstance(vcs, dict) and vcs.get("vcs") and vcs.get("commit_id"):
        return f"{name} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    if not isinstance(archive, dict):
        return f"{name} @ {url}"  # a directory
    hashes = archive.get("hashes")
    digest = hashes.get("sha256") if isinstance(hashes, dict) else None
    return f"{name} @ {url}" + (f"#sha256={digest}" if digest else "")
