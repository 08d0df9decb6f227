"""Whether a wheel that was built here runs on the target."""

from __future__ import annotations

import platform
from pathlib import Path

from bridge.errors import BuildError
from converters.target import Target
from converters.wheel import parse_wheel_name

__all__ = ["check_runs"]


def check_runs(wheel: Path, target: Target, sdist: str) -> None:
    """Raise `BuildError` (`build-unfit`) where a wheel that was built here cannot run on the target.

    A build makes a wheel for the interpreter that bridge runs on; if it is not pure, no other python can use it.
    """
    if parse_wheel_name(wheel.name).tags.isdisjoint(target.tags()):
        found = f"{platform.python_implementation()} {platform.python_version()}"
        python = target.python.version if target.python is not None else "none"
        raise BuildError(
            "build-unfit",
            f"{sdist} was built by {found}, and its wheel does not run on the target",
            context=(f"wheel: {wheel.name}", f"target: {target.subdir}, python {python}"),
            hint="require a version that has a wheel for the target, or the python that bridge runs on",
        )
