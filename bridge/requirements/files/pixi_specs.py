"""One dependency of a pixi manifest as a requirement: a version, or a table."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet

from bridge.requirements.algebra import Requirement
from bridge.requirements.files.fields import Field
from bridge.requirements.files.origins import Origin, sourced
from bridge.requirements.files.pixi_tables import CONDA_SPEC, PYPI_SPEC

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


def conda_spec(name: str, field: Field, warnings: list[str]) -> Requirement:
    """Return the MatchSpec of one entry of `dependencies`. Raises `UsageError` (`requirement-file`)."""
    if isinstance(field.value, str):
        return field.holding(f"{name} {field.value.strip()}".removesuffix(" *")).conda()
    table = CONDA_SPEC.check(field, warnings)

    def given(key: str) -> str:
        value = table[key].value
        return str(value) if isinstance(value, int) else table[key].text()

    if "url" in table:
        if len(table.table()) > 1:
            raise table.wrong("a file by its URL has no other keys than url")
        return table.holding(given("url")).conda()
    version = given("version").replace(" ", "") if "version" in table else "*"
    build = f" {given('build')}" if "build" in table else ""
    channel = f"{given('channel')}::" if "channel" in table else ""
    clauses = [f'{clause}="{given(key)}"' for key, clause in _BRACKETED.items() if key in table]
    if "extras" in table:
        clauses.append(f"extras=[{','.join(table['extras'].texts())}]")
    brackets = f"[{','.join(clauses)}]" if clauses else ""
    return table.holding(f"{channel}{name} {version}{build}{brackets}".removesuffix(" *")).conda()


def pypi_spec(name: str, field: Field, warnings: list[str]) -> tuple[Requirement, str | None]:
    """Return the requirement of one entry of `pypi-dependencies`, and the URL of the only index that may serve it.

    Raises `UsageError` (`requirement-file`).
    """
    table = PYPI_SPEC.check(field.spelled_out("version"), warnings)
    version = (table["version"].text_or_none() or "*").strip()
    try:
        SpecifierSet("" if version == "*" else version)
    except ValueError as error:
        hint = "write a PEP 440 specifier (>=1.2, ==1.2.*), or *"
        raise table.wrong(f"{version!r} is not a version specifier", hint=hint) from error
    extras, marker = table["extras"].texts(), table["env-markers"].text_or_none()
    bracketed = f"[{','.join(extras)}]" if extras else ""
    text = f"{name}{bracketed}{'' if version == '*' else version}"
    requirement = table.holding(f"{text} ; {marker}" if marker else text).pypi()
    kinds = [key for key in ("index", "git", "path", "url") if key in table]
    revisions = [table[key].text() for key in ("rev", "tag", "branch") if key in table]
    if len(kinds) > 1 or len(revisions) > 1 or (revisions and kinds != ["git"]):
        raise table.wrong("one of index, git, path and url was expected, and one of rev, tag and branch with git")
    origin = Origin(
        index=table["index"].text_or_none(),
        git=table["git"].text_or_none(),
        revision=revisions[0] if revisions else None,
        location=table["path"].text_or_none(),
        url=table["url"].text_or_none(),
        subdirectory=table["subdirectory"].text_or_none(),
        is_editable=table["editable"].flag(),
    )
    return sourced(requirement, origin, table), origin.index


def system_requirements(table: Field, platform: str) -> list[Requirement]:
    """Return the virtual packages that the target must have; those of other systems are left out."""
    packages = []
    for key, field in table.entries():
        value = field.value
        if key == "libc" and isinstance(value, dict):
            if value.get("family", "glibc") != "glibc":
                raise field.wrong("bridge knows glibc only")
            value = value.get("version")
        text = str(value) if isinstance(value, (int, float)) else field.holding(value).text()
        system, name = _VIRTUAL.get(key, ("", f"__{key}"))
        if platform.startswith(system):
            packages.append(field.holding(f"{name} * {text}" if key == "archspec" else f"{name} >={text}").conda())
    return packages
