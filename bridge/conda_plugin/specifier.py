"""`conda env create --env-spec bridge`: environment files whose conda and `pip:` parts are solved together.

bridge solves. conda installs the conda packages, pinned to version and build; pip installs the wheels by URL and hash.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from conda.base.context import context
from conda.exceptions import CondaValueError
from conda.models.channel import Channel
from conda.models.environment import Environment, EnvironmentConfig
from conda.models.match_spec import MatchSpec
from conda.plugins.types import EnvironmentSpecBase

from bridge.conda_plugin import PATTERNS
from bridge.conda_plugin.child import ask
from converters.projects import canonicalize_name

__all__ = ["JointEnvironmentSpec"]

_NAMES = frozenset({"bridge", "bridge-environment-yaml"})


class JointEnvironmentSpec(EnvironmentSpecBase):  # type: ignore[misc]  # conda is not typed
    """An environment file named `*.bridge.yml`, or any file read with `--env-spec bridge`."""

    detection_supported = True

    def __init__(self, filename: str | None = None, **_: object) -> None:
        self._path = Path(filename or "")

    def can_handle(self) -> bool:
        """Whether the file is ours, by its name or by `--env-spec`; conda's own reader keeps every other file."""
        is_named = any(fnmatch.fnmatch(self._path.name, pattern) for pattern in PATTERNS)
        is_chosen = context.environment_specifier in _NAMES
        return (is_named or is_chosen) and bool(self._content)

    @property
    def env(self) -> Any:  # noqa: ANN401 - conda's `Environment`
        """The solved environment. Raises `CondaValueError` with the explanation if there is no solution."""
        packages = self._solution()
        conda = [each for each in packages if each["source"] == "conda"]
        wheels = [each for each in packages if each["source"] != "conda"]
        variables = self._content.get("variables")
        return Environment(
            name=self._content.get("name"),
            platform=context.subdir,
            config=EnvironmentConfig(channels=tuple(dict.fromkeys(str(each["channel"]) for each in conda))),
            requested_packages=[_pinned(each) for each in conda],
            external_packages={"pip": [_pip_line(each) for each in wheels]} if wheels else {},
            variables=dict(variables) if isinstance(variables, dict) else {},
        )

    @property
    def _content(self) -> Mapping[str, Any]:
        try:
            document = yaml.safe_load(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CondaValueError(f"{self._path} cannot be read: {error}") from error
        return document if isinstance(document, dict) else {}

    def _solution(self) -> Sequence[Mapping[str, Any]]:
        content = self._content
        words = ["resolve", "-r", str(self._path), "--platform", context.subdir]
        if not content.get("channels"):
            words += [part for name in context.channels for url in Channel(name).base_urls for part in ("-c", url)]
        if any(isinstance(each, dict) and each.get("pip") for each in content.get("dependencies") or ()):
            words.append("conda:pip")  # conda installs wheels with the pip of the environment
        if context.offline:
            words.append("--offline")
        answer = ask(words)
        packages = (answer.document or {}).get("packages")
        if answer.status or not isinstance(packages, list):
            raise CondaValueError(f"{os.path.basename(self._path)}: {answer.complaint}")
        return packages


def _pinned(package: Mapping[str, Any]) -> Any:  # noqa: ANN401 - conda's `MatchSpec`
    return MatchSpec(
        name=package["name"], version=package["version"], build=package["build"], channel=package["channel"]
    )


def _pip_line(package: Mapping[str, Any]) -> str:
    name = canonicalize_name((package["pypi_names"] or [package["name"]])[0])
    digest = package["sha256"]
    return f"{name} @ {package['url']}" + (f"#sha256={digest}" if digest else "")
