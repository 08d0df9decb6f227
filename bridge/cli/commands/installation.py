"""How bridge was installed, and the commands that update, repeat and remove that."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import bridge
from bridge.paths import META

__all__ = ["DISTRIBUTION", "REMOVALS", "UPDATES", "Installation", "installation", "location", "own_distribution"]

DISTRIBUTION = "conda-bridge"
UPDATES = frozenset({"update", "upgrade", "self-update", "install"})
REMOVALS = frozenset({"remove", "uninstall"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Who installed bridge, and the command lines."""

    by: str
    update: str
    remove: str
    again: str


def location() -> Path:
    """The directory that bridge is imported from."""
    return Path(bridge.__file__).parent.parent


def own_distribution() -> metadata.Distribution:
    """The distribution beside bridge's code, else the one that python finds. Raises `PackageNotFoundError`."""
    beside = metadata.distributions(name=DISTRIBUTION, path=[str(location())])
    return next(iter(beside), None) or metadata.distribution(DISTRIBUTION)


def installation(prefix: Path | None = None) -> Installation:
    """Return how the environment that runs bridge got it, by the traces of the tools.

    :param prefix: the environment (default: this interpreter's).
    """
    prefix = Path(sys.prefix) if prefix is None else prefix
    if (prefix / "uv-receipt.toml").is_file():
        return _tool("uv tool", "uv tool upgrade", "uv tool uninstall", "uv tool install --reinstall")
    if (prefix / "pipx_metadata.json").is_file():
        return _tool("pipx", "pipx upgrade", "pipx uninstall", "pipx reinstall")
    where = shlex.quote(str(prefix))
    if any((prefix / META).glob(f"{DISTRIBUTION}-*.json")):
        return _tool(
            "a conda client",
            f"conda update -p {where}",
            f"conda remove -p {where}",
            f"conda install --force-reinstall -p {where}",
        )
    pip = f"{shlex.quote(sys.executable)} -m pip"
    return _tool("pip", f"{pip} install -U", f"{pip} uninstall", f"{pip} install --force-reinstall")


def _tool(by: str, update: str, remove: str, again: str) -> Installation:
    return Installation(
        by=by,
        update=f"{update} {DISTRIBUTION}",
        remove=f"{remove} {DISTRIBUTION}",
        again=f"{again} {DISTRIBUTION}",
    )
