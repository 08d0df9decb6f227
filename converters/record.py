"""`Record`: the metadata of one package, conda's or a wheel's, in one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Ecosystem", "Record"]

Ecosystem = Literal["conda", "wheel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a package is and where it comes from.

    `name` is the native name: a conda package name. A wheel bears the name of the conda package that provides its
    project, else its normalised project name (docs/decisions/0002-identity.md). `requirements` stay in the syntax of
    their ecosystem: MatchSpecs of a conda record (`depends`), PEP 508 of a wheel (`Requires-Dist`), so that each is
    judged by its own version order. `constraints` are conda's `constrains`. `timestamp` counts milliseconds since the
    epoch (upload time of a wheel). `origin` is the channel's or the index's URL. `yanked` is the reason (PEP 592; `""`
    where none was given), `None` for a file that is not yanked.
    """

    ecosystem: Ecosystem
    name: str
    version: str
    build: str
    build_number: int = 0
    subdir: str
    noarch: Literal["python", "generic"] | None = None
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    requires_python: str | None = None
    extras: tuple[str, ...] = ()
    pypi_names: tuple[str, ...] = ()
    track_features: tuple[str, ...] = ()
    timestamp: int | None = None
    filename: str = ""
    url: str = ""
    origin: str = ""
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    yanked: str | None = None
    license: str | None = None
    python_site_packages_path: str | None = None

    @property
    def identity(self) -> str:
        """`name-version-build`: the stem of the file in conda-meta."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def label(self) -> str:
        """`conda:name-version-build` or `wheel:name-version`: the owner as the audit and the ledger spell it."""
        if self.ecosystem == "conda":
            return f"conda:{self.identity}"
        return f"wheel:{self.pypi_names[0] if self.pypi_names else self.name}-{self.version}"
