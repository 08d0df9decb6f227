"""Let conda unpack wheels through `bridge convert`.

`conda list --explicit` and `conda create --clone` name a wheel by URL. conda fetches it, but needs a plugin to unpack
it (`conda_package_extractors`, from conda 26.7 on).
"""

from __future__ import annotations

import os
import tempfile

from bridge.conda_plugin.child import ask

__all__ = ["extract"]


def extract(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Convert the wheel `source` and unpack the conda package into `destination`.

    Raises conda's `CondaValueError` if the conversion fails or yields several packages (one for each python).
    """
    from conda.base.context import context
    from conda.exceptions import CondaValueError

    name = os.path.basename(source)
    with tempfile.TemporaryDirectory(prefix="bridge-") as folder:
        answer = ask(["convert", str(source), "-o", folder, "--compression", "1", "--platform", context.subdir])
        packages = (answer.document or {}).get("packages")
        if answer.status or not isinstance(packages, list):
            raise CondaValueError(f"{name} cannot be converted: {answer.complaint}")
        if len(packages) != 1:
            raise CondaValueError(f"{name} becomes {len(packages)} conda packages; `conda bridge convert` makes them")
        made = packages[0]["path"]
        context.plugin_manager.get_package_extractor(made).extract(made, str(destination))
