"""Wheels in explicit lists and clones: conda unpacks a wheel through `bridge convert`.

`conda list --explicit` and `conda create --clone` name a wheel by its URL. conda fetches it, but only a plugin can
unpack it (`conda_package_extractors`, conda 26.7 on).
"""

from __future__ import annotations

import os
import tempfile

from bridge.conda_plugin.child import ask

__all__ = ["extract"]


def extract(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Unpack the wheel `source` into `destination` as the conda package that bridge makes of it.

    Raises conda's `CondaValueError` where it cannot be converted, or becomes several packages (one a python).
    """
    from conda.base.context import context
    from conda.exceptions import CondaValueError

    name = os.path.basename(source)
    with tempfile.TemporaryDirectory(prefix="bridge-") as folder:
        answer = ask(["convert", str(source), "-o", folder, "--compression", "1"])
        packages = (answer.document or {}).get("packages")
        if answer.status or not isinstance(packages, list):
            raise CondaValueError(f"{name} cannot be converted: {answer.complaint}")
        if len(packages) != 1:
            raise CondaValueError(f"{name} becomes {len(packages)} conda packages; `conda bridge convert` makes them")
        made = packages[0]["path"]
        context.plugin_manager.get_package_extractor(made).extract(made, str(destination))
