"""`read`: a requirement file, its format recognised by its content."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.channels._rattler import current_subdir
from bridge.requirements.files.conda_list import is_conda_list, read_conda_list
from bridge.requirements.files.environment import read_environment
from bridge.requirements.files.explicit import is_explicit, read_explicit
from bridge.requirements.files.foreign_formats import refuse_foreign
from bridge.requirements.files.locks.asked import asked_by
from bridge.requirements.files.locks.reading import MAX_LOCK, is_lock_name, lock_of_text, lock_of_toml
from bridge.requirements.files.pip_format import read_pip_file
from bridge.requirements.files.pixi import is_pixi, read_pixi
from bridge.requirements.files.pyproject import read_pyproject
from bridge.requirements.files.script import is_script, read_script
from bridge.requirements.files.text import MAX_SIZE, read_text
from bridge.requirements.files.toml_text import load_toml
from bridge.requirements.files.values import Chosen, FileRequirements, wrong

__all__ = ["read"]

_YAML_KEY = re.compile(r"^(dependencies|channels)[ \t]*:", re.MULTILINE)
_TABLE = re.compile(
    r"^\[\[?[ \t]*(project|tool|dependency-groups|workspace|dependencies|build-system|packages?)\b", re.MULTILINE
)


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
    text = read_text(path, MAX_LOCK if is_lock_name(path.name) else MAX_SIZE)
    suffix = path.suffix.lower()
    if is_script(path, text):
        return read_script(path, text, chosen)
    is_explicit_list = is_explicit(text)
    if suffix == ".toml" or (not is_explicit_list and _TABLE.search(text)):
        return _read_toml(path, text, chosen)
    lock = None if is_explicit_list else lock_of_text(path, text, chosen)
    if lock is not None:
        return asked_by(lock, lock.environment(environment), chosen.platform)
    if environment is not None:
        problem = f"only a manifest or a lock of pixi has environments; {environment!r} was asked for"
        raise wrong(path, None, problem)
    if chosen.extras or chosen.groups:
        asked = f"extra {chosen.extras[0]!r}" if chosen.extras else f"dependency group {chosen.groups[0]!r}"
        raise wrong(path, None, f"only pyproject.toml and locks have extras and groups; {asked} was asked for")
    if is_explicit_list:
        return read_explicit(path, text, chosen.platform)
    refuse_foreign(path, text)
    if suffix in {".py", ".pyw"}:
        hint = 'begin it with `# /// script`, `# dependencies = ["NAME"]` and `# ///`'
        raise wrong(path, None, "this script does not state what it requires (PEP 723)", hint=hint)
    if suffix in _YAML_SUFFIXES or _YAML_KEY.search(text):
        return read_environment(path, text, chosen)
    if is_conda_list(text):
        return read_conda_list(path, text, chosen.platform)
    return read_pip_file(path, chosen)


_YAML_SUFFIXES = frozenset({".yml", ".yaml"})


def _read_toml(path: Path, text: str, chosen: Chosen) -> FileRequirements:
    refuse_foreign(path, text)
    document = load_toml(path, text)
    lock = lock_of_toml(path, document, chosen)
    if lock is not None:
        if chosen.environment is not None:
            raise wrong(path, None, f"this lock has no environments; {chosen.environment!r} was asked for")
        return asked_by(lock, lock.environment(), chosen.platform)
    if is_pixi(document):
        if chosen.extras or chosen.groups:
            raise wrong(path, None, "a pixi.toml has neither extras nor groups", hint="--environment names one of its")
        return read_pixi(path, document, chosen)
    if "package" in document and "project" not in document:
        hint = "name the manifest of the workspace"
        raise wrong(path, None, "this describes a package that pixi builds, and no workspace", hint=hint)
    return read_pyproject(path, document, chosen)
