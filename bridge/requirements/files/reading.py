"""`read`: a requirement file, its format recognised by its content."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.channels.machine import current_subdir
from bridge.requirements.files.conda_list import is_conda_list, read_conda_list
from bridge.requirements.files.foreign_formats import refuse_foreign
from bridge.requirements.files.pip_format import read_pip_file
from bridge.requirements.files.text import is_explicit, is_lock_name, read_lock_text, read_text
from bridge.requirements.files.values import Chosen, FileRequirements, wrong
from converters.deferred import regex

__all__ = ["read"]

_YAML_KEY = regex(r"^(dependencies|channels)[ \t]*:", re.MULTILINE)
_YAML_SUFFIXES = frozenset({".yml", ".yaml"})
_STRUCTURED = regex(
    r"^\[\[?[ \t]*(?:project|tool|dependency-groups|workspace|dependencies|build-system|packages?)\b"
    r"|^(?:version|packages?|environments|metadata):",
    re.MULTILINE,
)
_STRUCTURED_SUFFIXES = frozenset({".py", ".pyw", ".toml"})


def read(
    path: Path,
    *,
    platform: str | None = None,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    environment: str | None = None,
    ignores_missing_paths: bool = False,
    environ: Mapping[str, str] | None = None,
) -> FileRequirements:
    """Read a requirement file. The content decides the format; the name only where the content fits several.

    :param platform: the target (default: this machine). `extras`, `groups`: of a pyproject.toml or a lock; asking a
        file without them is an error, as is an `environment` of a file without environments.
    :param ignores_missing_paths: `NAME @ file:///…` asks for NAME where the path is gone.
    :param environ: for `${NAME}` in pip's lines (default: the environment of the process).

    Raises `UsageError` (`requirement-file`; `lock-platform` and `lock-environment` for what a lock does not have), and
    `UnsafeInputError` (`lock-invalid`) for a lock that is not what its format says.
    """
    environ = os.environ if environ is None else environ
    chosen = Chosen(
        platform=platform or current_subdir(),
        extras=extras,
        groups=groups,
        environment=environment,
        ignores_missing_paths=ignores_missing_paths,
        environ=environ,
    )
    text = read_lock_text(path) if is_lock_name(path.name) else read_text(path)
    suffix = path.suffix.lower()
    is_explicit_list = is_explicit(text)
    has_marks = "[" in text or ":" in text
    if suffix in _STRUCTURED_SUFFIXES or (has_marks and _STRUCTURED.search(text)):
        from bridge.requirements.files.structured import read_structured  # noqa: PLC0415 - takes 90 ms

        found = read_structured(path, text, chosen, is_explicit=is_explicit_list)
        if found is not None:
            return found
    if environment is not None:
        problem = f"only a manifest or a lock of pixi has environments; --environment {environment} names none"
        raise wrong(path, None, problem)
    if chosen.extras or chosen.groups:
        asked = f"extra {chosen.extras[0]!r}" if chosen.extras else f"dependency group {chosen.groups[0]!r}"
        raise wrong(path, None, f"only pyproject.toml and locks have extras and groups; {asked} cannot be chosen")
    if is_explicit_list:
        from bridge.requirements.files.explicit import read_explicit  # noqa: PLC0415 - one format of several

        return read_explicit(path, text, chosen.platform)
    refuse_foreign(path, text)
    if suffix in {".py", ".pyw"}:
        hint = 'begin it with `# /// script`, `# dependencies = ["NAME"]` and `# ///`'
        raise wrong(path, None, "this script does not state what it requires (PEP 723)", hint=hint)
    if suffix in _YAML_SUFFIXES or (has_marks and _YAML_KEY.search(text)):
        from bridge.requirements.files.environment import read_environment  # noqa: PLC0415 - takes 40 ms

        return read_environment(path, text, chosen)
    if is_conda_list(text):
        return read_conda_list(path, text, chosen.platform)
    return read_pip_file(path, chosen)
