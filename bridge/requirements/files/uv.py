"""[tool.uv] of a pyproject.toml: where projects come from, indexes, constraints (uv's settings and sources)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from packaging.markers import Marker

from bridge.config.builds import formats_of
from bridge.requirements.algebra import Requirement
from bridge.requirements.files.fields import Field
from bridge.requirements.files.origins import Origin, sourced
from bridge.requirements.files.platform_markers import platform_marker_holds
from bridge.requirements.files.uv_tables import INDEX, SOURCE, UV, WORKSPACE
from bridge.requirements.files.uv_workspace import member, root_of
from bridge.requirements.files.values import Chosen, FileRequirements, combined
from converters.deferred import replace
from converters.projects import canonicalize_name

__all__ = ["Uv", "read_uv"]

_KINDS = ("index", "git", "path", "url", "workspace")


_ONLY: dict[str, tuple[object, ...]] = {
    "index-strategy": ("first-index",),
    "prerelease": ("allow", "if-necessary-or-explicit", "explicit", "if-necessary"),
    "resolution": ("highest",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """What [tool.uv] says. `settings` has no requirements; `sourced` binds those of the project to their sources."""

    table: Field
    settings: FileRequirements = field(default_factory=FileRequirements)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    dev: tuple[object, ...] | None = None

    def sourced(self, requirements: Iterable[Requirement]) -> Iterator[Requirement]:
        """Bind each requirement to its source. Raises `UsageError` (`requirement-file`)."""
        for requirement in requirements:
            origin = self.origins.get(requirement.name)
            if origin is not None:
                requirement = sourced(requirement, origin, self.table["sources"][requirement.name])  # noqa: PLW2901
            yield requirement


def read_uv(table: Field, chosen: Chosen, warnings: list[str]) -> Uv:
    """Read [tool.uv], and that of the workspace's root where the file is of a member: its own sources come first.

    Raises `UsageError` (`requirement-file`).

    :param warnings: gets a sentence for each key without effect.
    """
    listed = _read(table, chosen, warnings)
    root = root_of(table.path) if "workspace" not in table else None
    if root is None:
        return listed
    of_root = _read(root, chosen, warnings)
    return replace(
        listed, settings=combined([listed.settings, of_root.settings]), origins={**of_root.origins, **listed.origins}
    )


def _read(stated: Field, chosen: Chosen, warnings: list[str]) -> Uv:
    table = UV.check(stated, warnings)
    for key, allowed in _ONLY.items():
        if key in table and table[key].value not in allowed:
            hint = f"allowed here: {', '.join(map(str, allowed))}"
            hint += "; --index-strategy best compares all indexes" if key == "index-strategy" else ""
            raise table[key].wrong(f"bridge does not support {table[key].value!r}", hint=hint)
    WORKSPACE.check(table["workspace"].or_empty(), warnings)
    indexes = _Indexes(table, warnings)
    origins = {} if table["no-sources"].flag() else _origins(table["sources"], indexes, chosen, warnings)
    dev = table["dev-dependencies"]
    return Uv(
        table=table,
        settings=_settings(table, indexes, origins),
        origins=origins,
        dev=None if dev.value is None else tuple(each.value for each in dev.items()),
    )


def _settings(table: Field, indexes: _Indexes, origins: Mapping[str, Origin]) -> FileRequirements:
    def texts(key: str) -> tuple[str, ...]:
        value = table[key].value
        return table[key].holding([value] if isinstance(value, str) else value).texts()

    def names(flag: str, packages: str) -> str:
        return ",".join([":all:"] * table[flag].flag() + [*texts(packages)])

    constraints = table["constraint-dependencies"]
    return FileRequirements(
        constraints=tuple(constraints.holding(each).pypi() for each in texts("constraint-dependencies")),
        index_url=indexes.first,
        extra_index_urls=indexes.further,
        find_links=(*indexes.pages, *(indexes.place(each) for each in texts("find-links"))),
        no_index=table["no-index"].flag(),
        project_indexes={name: origin.index for name, origin in origins.items() if origin.index is not None},
        trusted_hosts=texts("allow-insecure-host"),
        pre=table["prerelease"].value == "allow",
        formats=formats_of(names("no-build", "no-build-package"), names("no-binary", "no-binary-package")),
        exclude_newer=table["exclude-newer"].cutoff(),
        exclude_newer_of=table["exclude-newer-package"].cutoffs(),
        environments=texts("environments"),
    )


class _Indexes:
    """The indexes of [tool.uv], in the order that uv asks them: as they are listed, the default last."""

    def __init__(self, table: Field, warnings: list[str]) -> None:
        self._folder = table.path.absolute().parent
        self.by_name: dict[str, str] = {}
        self.flat: set[str] = set()
        self.pages: list[str] = []
        asked: list[str] = []
        default: list[str] = []
        for entry in table["index"].items():
            index = INDEX.check(entry, warnings)
            url = self.place(index["url"].text())
            name, is_flat = index["name"].text_or_none(), index["format"].value == "flat"
            if name is not None:
                self.by_name[name] = url
                self.flat |= {name} if is_flat else set()
            if index["explicit"].flag():
                continue
            if is_flat:
                self.pages.append(url)
            elif index["default"].flag():
                default.append(url)
            else:
                asked.append(url)
        asked += map(self.place, table["extra-index-url"].texts())
        if "index-url" in table:
            default.append(self.place(table["index-url"].text()))
        ordered = [*asked, *default]
        # Without a default the configured indexes are asked after these, as extra indexes are.
        self.first = ordered[0] if default else None
        self.further = tuple(ordered[1:] if default else ordered)

    def place(self, text: str) -> str:
        """Return a URL; a path becomes one, from the folder of the file."""
        return text if "://" in text else (self._folder / text).resolve().as_uri()


def _origins(sources: Field, indexes: _Indexes, chosen: Chosen, warnings: list[str]) -> dict[str, Origin]:
    origins: dict[str, Origin] = {}
    for name, each in sources.entries():
        several = each.value if isinstance(each.value, list) else [each.value]
        checked = [SOURCE.check(each.holding(source), warnings) for source in several]
        applying = [source for source in checked if _applies(source, chosen)]
        if len(applying) > 1:
            hint = "ask for one of the extras or groups at a time, or give the sources markers that exclude each other"
            raise each.wrong("more than one source applies", hint=hint)
        if applying:
            origins[canonicalize_name(name)] = _origin(applying[0], name, indexes)
    return origins


def _applies(source: Field, chosen: Chosen) -> bool:
    for key, asked in (("extra", chosen.extras), ("group", chosen.groups)):
        if key in source and canonicalize_name(source[key].text()) not in map(canonicalize_name, asked):
            return False
    if "marker" not in source:
        return True
    text = source["marker"].text()
    try:
        holds = platform_marker_holds(Marker(text), chosen.platform)
    except (ValueError, RecursionError) as error:
        raise source["marker"].wrong(f"not a marker: {text}") from error
    if holds is None:
        hint = "use markers of the platform (sys_platform, platform_machine), or split the requirement by its marker"
        raise source["marker"].wrong(f"a source that depends on the python is not supported: {text}", hint=hint)
    return holds


def _origin(source: Field, name: str, indexes: _Indexes) -> Origin:
    kinds = [kind for kind in _KINDS if kind in source]
    if len(kinds) != 1:
        raise source.wrong(f"exactly one of {', '.join(_KINDS)} was expected")
    (kind,) = kinds
    if kind == "workspace":
        if not source["workspace"].flag():
            return Origin()
        is_editable = source["editable"].flag() if "editable" in source else True
        return Origin(location=str(member(canonicalize_name(name), source)), is_editable=is_editable)
    value = source[kind].text()
    if kind == "index":
        if value not in indexes.by_name:
            known = ", ".join(sorted(indexes.by_name)) or "none"
            raise source.wrong(f"no [[tool.uv.index]] has the name {value!r}", context=(f"indexes: {known}",))
        if value in indexes.flat:
            hint = "name the page with --find-links, or the files with url = …"
            raise source.wrong(f"a project cannot be bound to {value!r}, a flat index", hint=hint)
        return Origin(index=indexes.by_name[value])
    revisions = [source[key].text() for key in ("rev", "tag", "branch") if key in source]
    if len(revisions) > 1 or (revisions and kind != "git"):
        raise source.wrong("one of rev, tag and branch was expected, of a repository")
    return Origin(
        git=value if kind == "git" else None,
        revision=revisions[0] if revisions else None,
        location=str(source.path.absolute().parent / os.path.expanduser(value)) if kind == "path" else None,
        url=value if kind == "url" else None,
        subdirectory=source["subdirectory"].text_or_none(),
        is_editable=source["editable"].flag(),
    )
