"""[tool.uv] of a pyproject.toml: where projects come from, indexes, constraints (uv's settings and sources)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.markers import Marker

from bridge.config.builds import formats_of
from bridge.requirements.algebra import Requirement
from bridge.requirements.files import fields
from bridge.requirements.files.origins import Origin, sourced
from bridge.requirements.files.platform_markers import platform_marker_holds
from bridge.requirements.files.uv_tables import INDEX, SOURCE, UV, WORKSPACE
from bridge.requirements.files.uv_workspace import member, root_of
from bridge.requirements.files.values import Chosen, FileRequirements, combined, wrong
from converters.deferred import replace
from converters.projects import canonicalize_name

__all__ = ["Uv", "read_uv"]

_HERE = "tool.uv"
_KINDS = ("index", "git", "path", "url", "workspace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """What [tool.uv] says. `settings` has no requirements; `sourced` binds those of the project to their sources."""

    path: Path
    settings: FileRequirements = field(default_factory=FileRequirements)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    dev: tuple[object, ...] | None = None

    def sourced(self, requirements: Iterable[Requirement]) -> Iterator[Requirement]:
        """Bind each requirement to its source. Raises `UsageError` (`requirement-file`)."""
        for requirement in requirements:
            origin = self.origins.get(requirement.name)
            where = f"{_HERE}.sources.{requirement.name}"
            yield requirement if origin is None else sourced(requirement, origin, self.path, where)


def read_uv(path: Path, value: object, chosen: Chosen, warnings: list[str]) -> Uv:
    """Read [tool.uv], and that of the workspace's root where the file is of a member: its own sources come first.

    Raises `UsageError` (`requirement-file`).

    :param warnings: gets a sentence for each key without effect.
    """
    listed = _read(path, value, chosen, warnings)
    root = root_of(path) if "workspace" not in fields.table(value, path, _HERE) else None
    if root is None:
        return listed
    of_root = _read(root[0], root[1], chosen, warnings)
    return replace(
        listed, settings=combined([listed.settings, of_root.settings]), origins={**of_root.origins, **listed.origins}
    )


def _read(path: Path, value: object, chosen: Chosen, warnings: list[str]) -> Uv:
    table = UV.check(value, path, _HERE, warnings)
    for key, allowed in _ONLY.items():
        if key in table and table[key] not in allowed:
            hint = f"allowed here: {', '.join(map(str, allowed))}"
            hint += "; --index-strategy best compares all indexes" if key == "index-strategy" else ""
            raise wrong(path, f"{_HERE}.{key}", f"bridge does not support {table[key]!r}", hint=hint)
    WORKSPACE.check(table.get("workspace", {}), path, f"{_HERE}.workspace", warnings)
    indexes = _Indexes(path, table, warnings)
    origins: dict[str, Origin] = {}
    if not fields.flag(table.get("no-sources"), path, f"{_HERE}.no-sources"):
        origins = _origins(path, table, indexes, chosen, warnings)
    dev = table.get("dev-dependencies")
    return Uv(
        path=path,
        settings=_settings(path, table, indexes, origins),
        origins=origins,
        dev=None if dev is None else tuple(fields.items(dev, path, f"{_HERE}.dev-dependencies")),
    )


_ONLY: dict[str, tuple[object, ...]] = {
    "index-strategy": ("first-index",),
    "prerelease": ("allow", "if-necessary-or-explicit", "explicit", "if-necessary"),
    "resolution": ("highest",),
}


def _settings(
    path: Path, table: Mapping[str, object], indexes: _Indexes, origins: Mapping[str, Origin]
) -> FileRequirements:
    def texts(key: str) -> tuple[str, ...]:
        value = table.get(key)
        return fields.texts([value] if isinstance(value, str) else value, path, f"{_HERE}.{key}")

    def names(flag: str, packages: str) -> str:
        return ",".join([":all:"] * fields.flag(table.get(flag), path, f"{_HERE}.{flag}") + [*texts(packages)])

    constraints = texts("constraint-dependencies")
    return FileRequirements(
        constraints=tuple(fields.pypi(each, path, f"{_HERE}.constraint-dependencies") for each in constraints),
        index_url=indexes.first,
        extra_index_urls=indexes.further,
        find_links=(*indexes.pages, *(indexes.place(each) for each in texts("find-links"))),
        no_index=fields.flag(table.get("no-index"), path, f"{_HERE}.no-index"),
        project_indexes={name: origin.index for name, origin in origins.items() if origin.index is not None},
        trusted_hosts=texts("allow-insecure-host"),
        pre=table.get("prerelease") == "allow",
        formats=formats_of(names("no-build", "no-build-package"), names("no-binary", "no-binary-package")),
        exclude_newer=fields.cutoff(table.get("exclude-newer"), path, f"{_HERE}.exclude-newer"),
        exclude_newer_of=fields.cutoffs(table.get("exclude-newer-package"), path, f"{_HERE}.exclude-newer-package"),
        environments=texts("environments"),
    )


class _Indexes:
    """The indexes of [tool.uv], in the order that uv asks them: as they are listed, the default last."""

    def __init__(self, path: Path, table: Mapping[str, object], warnings: list[str]) -> None:
        self._path = path
        self.by_name: dict[str, str] = {}
        self.flat: set[str] = set()
        self.pages: list[str] = []
        asked: list[str] = []
        default: list[str] = []
        for place, value in enumerate(fields.items(table.get("index"), path, f"{_HERE}.index")):
            where = f"{_HERE}.index[{place}]"
            index = INDEX.check(value, path, where, warnings)
            url = self.place(fields.text(index.get("url"), path, f"{where}.url"))
            if "name" in index:
                self.by_name[fields.text(index["name"], path, f"{where}.name")] = url
            is_flat = index.get("format", "simple") == "flat"
            if is_flat and "name" in index:
                self.flat.add(str(index["name"]))
            if fields.flag(index.get("explicit"), path, f"{where}.explicit"):
                continue
            if is_flat:
                self.pages.append(url)
            elif fields.flag(index.get("default"), path, f"{where}.default"):
                default.append(url)
            else:
                asked.append(url)
        extra = table.get("extra-index-url")
        asked += map(self.place, fields.texts(extra, path, f"{_HERE}.extra-index-url"))
        if "index-url" in table:
            default.append(self.place(fields.text(table["index-url"], path, f"{_HERE}.index-url")))
        ordered = [*asked, *default]
        # Without a default the configured indexes are asked after these, as extra indexes are.
        self.first = ordered[0] if default else None
        self.further = tuple(ordered[1:] if default else ordered)

    def place(self, text: str) -> str:
        """Return a URL; a path becomes one, from the folder of the file."""
        return text if "://" in text else (self._path.absolute().parent / text).resolve().as_uri()


def _origins(
    path: Path, table: Mapping[str, object], indexes: _Indexes, chosen: Chosen, warnings: list[str]
) -> dict[str, Origin]:
    origins: dict[str, Origin] = {}
    sources = fields.table(table.get("sources"), path, f"{_HERE}.sources")
    for name, value in sources.items():
        where = f"{_HERE}.sources.{name}"
        several = value if isinstance(value, list) else [value]
        checked = [SOURCE.check(each, path, where, warnings) for each in several]
        applying = [each for each in checked if _applies(each, path, where, chosen)]
        if len(applying) > 1:
            hint = "ask for one of the extras or groups at a time, or give the sources markers that exclude each other"
            raise wrong(path, where, "more than one source applies", hint=hint)
        if applying:
            origins[canonicalize_name(name)] = _origin(applying[0], path, where, name, indexes)
    return origins


def _applies(source: Mapping[str, object], path: Path, where: str, chosen: Chosen) -> bool:
    for key, asked in (("extra", chosen.extras), ("group", chosen.groups)):
        if key in source:
            wanted = canonicalize_name(fields.text(source[key], path, f"{where}.{key}"))
            if wanted not in {canonicalize_name(each) for each in asked}:
                return False
    if "marker" not in source:
        return True
    text = fields.text(source["marker"], path, f"{where}.marker")
    try:
        holds = platform_marker_holds(Marker(text), chosen.platform)
    except (ValueError, RecursionError) as error:
        raise wrong(path, f"{where}.marker", f"not a marker: {text}") from error
    if holds is None:
        hint = "use markers of the platform (sys_platform, platform_machine), or split the requirement by its marker"
        raise wrong(path, f"{where}.marker", f"a source that depends on the python is not supported: {text}", hint=hint)
    return holds


def _origin(source: Mapping[str, object], path: Path, where: str, name: str, indexes: _Indexes) -> Origin:
    kinds = [kind for kind in _KINDS if kind in source]
    if len(kinds) != 1:
        raise wrong(path, where, f"exactly one of {', '.join(_KINDS)} was expected")
    if kinds[0] == "workspace":
        if not fields.flag(source["workspace"], path, f"{where}.workspace"):
            return Origin()
        is_editable = fields.flag(source.get("editable", True), path, f"{where}.editable")
        return Origin(location=str(member(path, canonicalize_name(name), where)), is_editable=is_editable)
    value = fields.text(source[kinds[0]], path, f"{where}.{kinds[0]}")
    if kinds[0] == "index":
        if value not in indexes.by_name:
            known = ", ".join(sorted(indexes.by_name)) or "none"
            raise wrong(path, where, f"no [[tool.uv.index]] has the name {value!r}", context=(f"indexes: {known}",))
        if value in indexes.flat:
            hint = "name the page with --find-links, or the files with url = …"
            raise wrong(path, where, f"a project cannot be bound to {value!r}, a flat index", hint=hint)
        return Origin(index=indexes.by_name[value])
    subdirectory = source.get("subdirectory")
    revisions = [fields.text(source[key], path, f"{where}.{key}") for key in ("rev", "tag", "branch") if key in source]
    if len(revisions) > 1 or (revisions and kinds[0] != "git"):
        raise wrong(path, where, "one of rev, tag and branch was expected, of a repository")
    return Origin(
        git=value if kinds[0] == "git" else None,
        revision=revisions[0] if revisions else None,
        location=str(path.absolute().parent / os.path.expanduser(value)) if kinds[0] == "path" else None,
        url=value if kinds[0] == "url" else None,
        subdirectory=None if subdirectory is None else fields.text(subdirectory, path, f"{where}.subdirectory"),
        is_editable=fields.flag(source.get("editable"), path, f"{where}.editable"),
    )
