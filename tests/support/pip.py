"""The pip of this interpreter, at work on an environment that has none."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from packaging.version import Version

__all__ = ["PIP", "pip_of"]

PIP = Version(importlib.metadata.version("pip"))


def pip_of(python: Path) -> list[str]:
    """The command `pip --python PYTHON`, as pip runs itself there; without the process that only starts the other."""
    spec = importlib.util.find_spec("pip")
    assert spec is not None
    assert spec.origin is not None
    return [str(python), str(Path(spec.origin).with_name("__pip-runner__.py"))]
