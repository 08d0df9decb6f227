"""Check that a wheel built here runs on the target."""

from __future__ import annotations

import platform
from pathlib import Path

from bridge.errors import BuildError
from converters.target import Target
from converters.wheel import parse_wheel_name

__all__ = ["check_runs"]


def check_runs(wheel: Path, target: Target, sdist: str) -> None:
    """Raise `BuildError` (`build-unfit`) if a wheel built by bridge's own interpreter does not fit the target."""
    if parse_wheel_name(wheel.name).tags.isdisjoint(target.tags()):
        builder = f"{platform.python_implementation()} {platform.python_version()}"
        python = target.python.version if target.python is not None else "none"
        raise BuildError(
            "build-unfit",
            f"{sdist} was built by {builder}, and its wheel does not run on the target",
            context=(f"wheel: {wheel.name}", f"target: {target.subdir}, python {python}"),
            hint="require a version that has a wheel for the target, or the python that bridge runs on",
        )
