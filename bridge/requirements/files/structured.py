"""Requirement files in TOML, scripts that state their requirements, and locks in YAML.

`bridge.requirements.files.reading` imports this late: a list of requirements needs none of it.
"""

from __future__ import annotations

import re
from pathlib import Path

from bridge.requirements.files.fields import Field
from bridge.requirements.files.foreign_formats import refuse_foreign
from bridge.requirements.files.locks.asked import asked_by
from bridge.requirements.files.locks.reading import lock_of_text, lock_of_toml
from bridge.requirements.files.pixi import is_pixi, read_pixi
from bridge.requirements.files.pyproject import read_pyproject
from bridge.requirements.files.script import is_script, read_script
from bridge.requirements.files.toml_text import load_toml
from bridge.requirements.files.values import Chosen, FileRequirements, wrong

__all__ = ["read_structured"]

_TABLE = re.compile(
    r"^\[\[?[ \t]*(project|tool|dependency-groups|workspace|dependencies|build-system|packages?)\b", re.MULTILINE
)


def read_structured(path: Path, text: str, chosen: Chosen, *, is_explicit: bool) -> FileRequirements | None:
    """Read such a file; `None` for any other. Raises as `bridge.requirements.files.reading.read`.

    :param is_explicit: the text is an explicit list, which is neither TOML (but by its name) nor a lock.
    """
    if is_script(path, text):
        return read_script(path, text, chosen)
    if path.suffix.lower() == ".toml" or (not is_explicit and _TABLE.search(text)):
        return _read_toml(path, text, chosen)
    lock = None if is_explicit else lock_of_text(path, text, chosen)
    return None if lock is None else asked_by(lock, lock.environment(chosen.environment), chosen.platform)


def _read_toml(path: Path, text: str, chosen: Chosen) -> FileRequirements:
    refuse_foreign(path, text)
    document = load_toml(path, text)
    lock = lock_of_toml(path, document, chosen)
    if lock is not None:
        if chosen.environment is not None:
            raise wrong(path, None, f"this lock has no environments, so {chosen.environment!r} cannot be chosen")
        return asked_by(lock, lock.environment(), chosen.platform)
    if is_pixi(document):
        if chosen.extras or chosen.groups:
            raise wrong(path, None, "a pixi.toml has neither extras nor groups", hint="--environment names one of its")
        return read_pixi(Field(document, path), chosen)
    if "package" in document and "project" not in document:
        hint = "name the manifest of the workspace"
        raise wrong(path, None, "this describes a package that pixi builds, and no workspace", hint=hint)
    return read_pyproject(Field(document, path), chosen)
