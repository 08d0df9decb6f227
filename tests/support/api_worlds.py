"""A channel and wheels for the examples of `docs/api.md`, as people's configuration names them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel

__all__ = ["configure", "make_world"]

_FOREIGN = ("BRIDGE_", "PIP_", "CONDA_", "MAMBA_")


def make_world(folder: Path) -> None:
    """Write `channels/conda-forge`, `wheels` and a `.condarc`."""
    channel = folder / "channels" / "conda-forge"
    make_python(channel, "3.12", index={"python_site_packages_path": "lib/python3.12/site-packages"})
    make_conda(channel, "numpy", "2.1.0", subdir="linux-64", noarch=None, depends=["python"])
    make_repodata(channel)
    for version in ("13.9.3", "13.9.4"):
        make_wheel(folder / "wheels", "rich", version, files={"rich/__init__.py": b"", "rich/data.bin": b"\0" * 4096})
    (folder / "condarc").write_text(f"custom_channels:\n  conda-forge: {(folder / 'channels').as_uri()}\n")


def configure(patch: pytest.MonkeyPatch, world: Path, work: Path) -> None:
    """Stand in `work`, with nothing configured but the world's channel and wheels."""
    for name in [each for each in os.environ if each.startswith(_FOREIGN)]:
        patch.delenv(name)
    work.mkdir(exist_ok=True)
    patch.chdir(work)
    settings = {
        "HOME": work,
        "CONDARC": world / "condarc",
        "BRIDGE_CACHE_DIR": work / "cache",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": world / "wheels",
        "CONDA_REGISTER_ENVS": "false",
    }
    for name, value in settings.items():
        patch.setenv(name, str(value))
