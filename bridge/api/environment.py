"""What an environment has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge import prefix as prefixes
from bridge.api.options import Options, StrPath
from bridge.api.running import call
from bridge.api.values import Package, find
from bridge.audit.packages import PackageRow
from bridge.cli.commands.reading import inventory
from bridge.secrets import masked

__all__ = ["Environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The packages of an environment, by its records; no file is hashed. `python` is the version of its python."""

    prefix: Path
    packages: tuple[Package, ...]
    python: str | None = None

    @classmethod
    def read(cls, prefix: StrPath, *, options: Options | None = None) -> Environment:
        """Read an environment, also one made by conda, mamba, pixi or pip.

        Raises `BridgeError`: `UsageError` (`not-an-environment`), `FaultError`.
        """
        path = Path(os.path.abspath(prefix))
        with (
            call(["list", "-p", str(path)], options, None) as running,
            running.session(prefix=str(path)) as session,
        ):
            listed = inventory(path, session)
            python = prefixes.require(path, is_brief=True).python
        return cls(
            prefix=path,
            packages=tuple(map(_package, listed.rows)),
            python=python.version if python is not None else None,
        )

    def package(self, name: str) -> Package | None:
        """Return the package of a name, also of the name of a project."""
        return find(self.packages, name)


def _package(row: PackageRow) -> Package:
    ecosystem: Literal["conda", "wheel", "other"] = "other"
    if row.source in {"conda", "wheel"}:
        ecosystem = "conda" if row.source == "conda" else "wheel"
    return Package(
        name=row.name,
        version=row.version,
        build=row.build or "",
        ecosystem=ecosystem,
        subdir=row.subdir or "",
        source=masked(row.origin or ""),
        url=masked(row.url or ""),
        sha256=row.sha256,
        projects=row.pypi_names,
        requested=row.requested,
        license=row.license,
    )
