"""One dependency of a pixi manifest as a requirement: a version, or a table."""

from __future__ import annotations

from pathlib import Path

from packaging.specifiers import SpecifierSet

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, conda_requirement
from bridge.requirements.files import fields
from bridge.requirements.files.origins import Origin, sourced
from bridge.requirements.files.pixi_tables import CONDA_SPEC, PYPI_SPEC
from bridge.requirements.files.values import wrong

__all__ = ["conda_spec", "pypi_spec", "system_requirements"]

_BRACKETED = {
    "build-number": "build_number",
    "subdir": "subdir",
    "file-name": "fn",
    "md5": "md5",
    "sha256": "sha256",
    "license": "license",
    "when": "when",
}
_VIRTUAL = {"linux": ("linux", "__linux"), "macos": ("osx", "__osx"), "libc": ("linux", "__glibc")}


def conda_spec(name: str, value: object, path: Path, where: str, warnings: list[str]) -> Requirement:
    """Return the MatchSpec of one entry of `dependencies`. Raises `UsageError` (`requirement-file`)."""
    if isinstance(value, str):
        return _conda(f"{name} {value.strip()}".removesuffix(" *"), path, where)
    table = CONDA_SPEC.check(value, path, where, warnings)

    def given(key: str) -> str:
        given_value = table.get(key)
        return str(given_value) if isinstance(given_value, int) else fields.text(given_value, path, f"{where}.{key}")

    if "url" in table:
        if len(table) > 1:
            raise wrong(path, where, "a file by its URL has no other keys than url")
        return _conda(given("url"), path, where)
    version = given("version").replace(" ", "") if "version" in table else "*"
    build = f" {given('build')}" if "build" in table else ""
    channel = f"{given('channel')}::" if "channel" in table else ""
    clauses = [f'{field}="{given(key)}"' for key, field in _BRACKETED.items() if key in table]
    if "extras" in table:
        clauses.append(f"extras=[{','.join(fields.texts(table['extras'], path, f'{where}.extras'))}]")
    brackets = f"[{','.join(clauses)}]" if clauses else ""
    return _conda(f"{channel}{name} {version}{build}{brackets}".removesuffix(" *"), path, where)


def _conda(text: str, path: Path, where: str) -> Requirement:
    try:
        return conda_requirement(text)
    except UsageError as error:
        raise wrong(path, where, error.message, context=error.context) from error


def pypi_spec(name: str, value: object, path: Path, where: str, warnings: list[str]) -> tuple[Requirement, str | None]:
    """Return the requirement of one entry of `pypi-dependencies`, and the URL of the only index that may serve it.

    Raises `UsageError` (`requirement-file`).
    """
    table = PYPI_SPEC.check({"version": value} if isinstance(value, str) else value, path, where, warnings)

    def given(key: str) -> str | None:
        return fields.text(table[key], path, f"{where}.{key}") if key in table else None

    version = (given("version") or "*").strip()
    try:
        SpecifierSet("" if version == "*" else version)
    except ValueError as error:
        hint = "write a PEP 440 specifier (>=1.2, ==1.2.*), or *"
        raise wrong(path, where, f"{version!r} is not a version specifier", hint=hint) from error
    extras = fields.texts(table.get("extras"), path, f"{where}.extras")
    marker = given("env-markers")
    bracketed = f"[{','.join(extras)}]" if extras else ""
    text = f"{name}{bracketed}{'' if version == '*' else version}"
    requirement = fields.pypi(f"{text} ; {marker}" if marker else text, path, where)
    kinds = [key for key in ("index", "git", "path", "url") if key in table]
    revisions = [revision for key in ("rev", "tag", "branch") if (revision := given(key)) is not None]
    if len(kinds) > 1 or len(revisions) > 1 or (revisions and kinds != ["git"]):
        raise wrong(
            path, where, "one of index, git, path and url was expected, and one of rev, tag and branch with git"
        )
    origin = Origin(
        index=given("index"),
        git=given("git"),
        revision=revisions[0] if revisions else None,
        location=given("path"),
        url=given("url"),
        subdirectory=given("subdirectory"),
        is_editable=fields.flag(table.get("editable"), path, f"{where}.editable"),
    )
    return sourced(requirement, origin, path, where), origin.index


def system_requirements(table: dict[str, object], path: Path, where: str, platform: str) -> list[Requirement]:
    """Return the virtual packages that the target must have; those of other systems are left out."""
    packages = []
    for key, value in table.items():
        here = f"{where}.{key}"
        if key == "libc" and isinstance(value, dict):
            if value.get("family", "glibc") != "glibc":
                raise wrong(path, here, "bridge knows glibc only")
            value = value.get("version")  # noqa: PLW2901
        text = str(value) if isinstance(value, (int, float)) else fields.text(value, path, here)
        system, name = _VIRTUAL.get(key, ("", f"__{key}"))
        if platform.startswith(system):
            packages.append(_conda(f"{name} * {text}" if key == "archspec" else f"{name} >={text}", path, here))
    return packages
