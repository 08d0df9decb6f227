"""pixi.toml and [tool.pixi]: one environment of a workspace, for one platform (pixi's manifest reference)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.config.builds import formats_of
from bridge.requirements.algebra import Requirement
from bridge.requirements.files import fields
from bridge.requirements.files.pixi_specs import conda_spec, pypi_spec, system_requirements
from bridge.requirements.files.pixi_tables import (
    CHANNEL,
    ENVIRONMENT,
    FEATURE,
    MANIFEST,
    PLATFORM,
    PYPI_OPTIONS,
    SYSTEM,
    TARGET,
    WORKSPACE,
)
from bridge.requirements.files.values import Chosen, FileRequirements, unique, wrong
from converters.deferred import replace

__all__ = ["features_of", "is_pixi", "read_pixi"]

_SYSTEMS = {"linux": ("unix", "linux"), "osx": ("unix", "osx"), "win": ("win",)}
_RUN = ("build-dependencies", "host-dependencies", "dependencies")  # a later table replaces a name of an earlier one


def is_pixi(document: Mapping[str, object]) -> bool:
    """Return whether a TOML document is a pixi.toml: a workspace, or a former `project` with channels."""
    project = document.get("project")
    return "workspace" in document or (isinstance(project, dict) and "channels" in project)


def features_of(manifest: Mapping[str, object], path: Path, root: str, environment: str | None) -> tuple[str, ...]:
    """Return the features of an environment, `default` for the tables at the top. Raises `UsageError`."""
    environments = fields.table(manifest.get("environments"), path, f"{root}environments")
    name = environment or "default"
    if name not in environments:
        if name != "default":
            known = ", ".join(sorted({"default", *environments}))
            raise wrong(path, f"{root}environments", f"there is no environment {name!r}", context=(f"known: {known}",))
        return ("default",)
    where = f"{root}environments.{name}"
    value = environments[name]
    table = ENVIRONMENT.check({"features": value} if isinstance(value, list) else value, path, where, [])
    named = fields.texts(table.get("features"), path, f"{where}.features")
    has_default = not fields.flag(table.get("no-default-feature"), path, f"{where}.no-default-feature")
    return (*named, *(("default",) if has_default else ()))


def read_pixi(
    path: Path, manifest: Mapping[str, object], chosen: Chosen, *, root: str = "", others: Iterable[str] = ()
) -> FileRequirements:
    """Read one environment of a manifest. Raises `UsageError` (`requirement-file`).

    :param root: the name of the manifest's table in the file, with a dot; `""` for a pixi.toml.
    :param others: features that the rest of a pyproject.toml defines: extras and dependency groups.
    """
    warnings: list[str] = []
    manifest = MANIFEST.check(manifest, path, root.rstrip("."), warnings)
    name = "workspace" if "workspace" in manifest else "project"
    workspace = WORKSPACE.check(manifest.get(name, {}), path, f"{root}{name}", warnings)
    _only_known(workspace, path, f"{root}{name}")
    environment = fields.table(manifest.get("environments"), path, f"{root}environments").get(
        chosen.environment or "default"
    )
    reading = _Reading(path=path, platform=chosen.platform, warnings=warnings)
    reading.platforms(workspace.get("platforms"), f"{root}{name}.platforms")
    if isinstance(environment, dict):
        reading.feature(environment, f"{root}environments.{chosen.environment or 'default'}")
    features = fields.table(manifest.get("feature"), path, f"{root}feature")
    defined = set(others)
    for feature in features_of(manifest, path, root, chosen.environment):
        if feature == "default":
            reading.content(manifest, root.rstrip("."))
        elif feature in features:
            reading.feature(features[feature], f"{root}feature.{feature}")
        elif feature not in defined:
            known = ", ".join(sorted({*features, *defined})) or "none"
            raise wrong(path, f"{root}environments", f"there is no feature {feature!r}", context=(f"known: {known}",))
    reading.channel_list(workspace.get("channels"), f"{root}{name}.channels")
    reading.options(workspace.get("pypi-options"), f"{root}{name}.pypi-options")
    cutoff = fields.cutoff(workspace.get("exclude-newer"), path, f"{root}{name}.exclude-newer")
    listed = reading.result(cutoff)
    exceptions = fields.cutoffs(manifest.get("exclude-newer"), path, f"{root}exclude-newer")
    return replace(listed, exclude_newer_of=exceptions)


def _only_known(table: Mapping[str, object], path: Path, where: str) -> None:
    for key, allowed, hint in (
        ("channel-priority", "strict", "remove the key; --channel-priority flexible lets lower channels serve, too"),
        ("solve-strategy", "highest", "remove the key; bridge takes the newest versions"),
    ):
        if table.get(key, allowed) != allowed:
            raise wrong(path, f"{where}.{key}", f"bridge does not support {table[key]!r}", hint=hint)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What the features of one environment ask for, gathered feature by feature."""

    path: Path
    platform: str
    warnings: list[str]
    named: dict[str, bool] = field(default_factory=dict)  # the workspace's name for a platform -> it is taken
    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    channels: list[tuple[int, str]] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)
    index_url: str | None = None
    extra: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    only_binary: list[str] = field(default_factory=list)
    no_binary: list[str] = field(default_factory=list)
    pre: bool = False

    def feature(self, value: object, where: str) -> None:
        section = ENVIRONMENT if "environments." in where else FEATURE
        table = section.check(value, self.path, where, self.warnings)
        _only_known(table, self.path, where)
        self.platforms(table.get("platforms"), f"{where}.platforms")
        self.channel_list(table.get("channels"), f"{where}.channels")
        self.content(table, where)

    def content(self, table: Mapping[str, object], where: str) -> None:
        """Read the tables of a feature, those of a matching `target` over them."""
        prefix = f"{where}." if where else ""
        layers = [(table, prefix), *self._targets(table.get("target"), f"{prefix}target")]
        for name, value, here in self._merged(layers, _RUN):
            self.requirements.append(conda_spec(name, value, self.path, here, self.warnings))
        for name, value, here in self._merged(layers, ("pypi-dependencies",)):
            requirement, index = pypi_spec(name, value, self.path, here, self.warnings)
            self.requirements.append(requirement)
            if index is not None:
                self.indexes[requirement.name] = index
        for name, value, here in self._merged(layers, ("constraints",)):
            self.constraints.append(conda_spec(name, value, self.path, here, self.warnings))
        here = f"{prefix}system-requirements"
        system = SYSTEM.check(table.get("system-requirements", {}), self.path, here, self.warnings)
        self.requirements += system_requirements(dict(system), self.path, here, self.platform)
        self.options(table.get("pypi-options"), f"{prefix}pypi-options")

    def _targets(self, value: object, where: str) -> Iterator[tuple[Mapping[str, object], str]]:
        """Yield the matching target tables, the most specific last; check the keys of all of them."""
        targets = fields.table(value, self.path, where)
        known = ("unix", "linux", "osx", "win")
        mine = (
            *_SYSTEMS[self.platform.split("-")[0]],
            self.platform,
            *(name for name, ours in self.named.items() if ours),
        )
        checked = {}
        for selector, table in targets.items():
            here = f"{where}.{selector}"
            if selector not in (*known, *self.named) and "-" not in selector:
                raise wrong(self.path, here, "this is not a platform", hint=f"known: {', '.join(known)}, linux-64, …")
            checked[selector] = TARGET.check(table, self.path, here, self.warnings if selector in mine else [])
        for selector in mine:
            if selector in checked:
                yield checked[selector], f"{where}.{selector}."

    def _merged(
        self, layers: Iterable[tuple[Mapping[str, object], str]], keys: tuple[str, ...]
    ) -> Iterator[tuple[str, object, str]]:
        """Yield (name, value, where) of each dependency; a more specific table replaces it."""
        tables: dict[str, tuple[object, str]] = {}
        for table, prefix in layers:
            for key in keys:
                for name, value in fields.table(table.get(key), self.path, f"{prefix}{key}").items():
                    tables[name] = (value, f"{prefix}{key}.{name}")
        for name, (value, where) in tables.items():
            yield name, value, where

    def platforms(self, value: object, where: str) -> None:
        """Read the platforms of a workspace or a feature; the first that fits is taken, one without conditions if any.

        Raises `UsageError` where none fits.
        """
        tables: list[tuple[Mapping[str, object], str]] = []
        for place, entry in enumerate(fields.items(value, self.path, where)):
            here = f"{where}[{place}]"
            table = {"platform": entry} if isinstance(entry, str) else entry
            tables.append((PLATFORM.check(table, self.path, here, self.warnings), here))
        subdirs = [fields.text(table.get("platform"), self.path, f"{here}.platform") for table, here in tables]
        fitting = [each for each, subdir in zip(tables, subdirs, strict=True) if subdir == self.platform]
        if tables and not fitting:
            known = ", ".join(dict.fromkeys(subdirs))
            problem = f"the workspace is for {known}, and this is solved for {self.platform}"
            raise wrong(self.path, where, problem, hint="add the platform, or name another with --platform")
        conditions = [({k: v for k, v in table.items() if k in SYSTEM.keys}, table, here) for table, here in fitting]
        for needed, taken, here in sorted(conditions, key=lambda each: bool(each[0]))[:1]:
            self.requirements += system_requirements(needed, self.path, here, self.platform)
            self.named |= {str(table["name"]): table is taken for table, _ in tables if "name" in table}

    def channel_list(self, value: object, where: str) -> None:
        for place, entry in enumerate(fields.items(value, self.path, where)):
            here = f"{where}[{place}]"
            table = {"channel": entry} if isinstance(entry, str) else entry
            checked = CHANNEL.check(table, self.path, here, self.warnings)
            priority = checked.get("priority", 0)
            if not isinstance(priority, int):
                raise wrong(self.path, f"{here}.priority", "a number was expected")
            name = fields.text(checked.get("channel"), self.path, f"{here}.channel")
            if name not in {known for _, known in self.channels}:
                self.channels.append((priority, name))

    def options(self, value: object, where: str) -> None:
        table = PYPI_OPTIONS.check(value if value is not None else {}, self.path, where, self.warnings)
        for key, allowed in (
            ("index-strategy", ("first-index",)),
            ("prerelease-mode", ("allow", "if-necessary-or-explicit", "explicit", "if-necessary")),
        ):
            if table.get(key, allowed[0]) not in allowed:
                hint = f"allowed here: {', '.join(allowed)}"
                hint += "; --index-strategy best compares all indexes" if key == "index-strategy" else ""
                raise wrong(self.path, f"{where}.{key}", f"bridge does not support {table[key]!r}", hint=hint)
        if "index-url" in table:
            self.index_url = self.index_url or fields.text(table["index-url"], self.path, f"{where}.index-url")
        self.extra += fields.texts(table.get("extra-index-urls"), self.path, f"{where}.extra-index-urls")
        for place, page in enumerate(fields.items(table.get("find-links"), self.path, f"{where}.find-links")):
            self.pages.append(self._page(page, f"{where}.find-links[{place}]"))
        self.only_binary += self._formats(table.get("no-build"), f"{where}.no-build")
        self.no_binary += self._formats(table.get("no-binary"), f"{where}.no-binary")
        self.pre = self.pre or table.get("prerelease-mode") == "allow"

    def _page(self, value: object, where: str) -> str:
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in {"path", "url"}:
            raise wrong(self.path, where, "a table with path or url was expected")
        key, place = next(iter(value.items()))
        text = fields.text(place, self.path, where)
        return text if key == "url" else str((self.path.absolute().parent / text).resolve())

    def _formats(self, value: object, where: str) -> tuple[str, ...]:
        if isinstance(value, (bool, type(None))):
            return (":all:",) if value else ()
        return fields.texts(value, self.path, where)

    def result(self, exclude_newer: int | None) -> FileRequirements:
        ordered = sorted(enumerate(self.channels), key=lambda each: (-each[1][0], each[0]))
        # As uv asks them: the extra indexes first.
        indexes = [*self.extra, *([self.index_url] if self.index_url is not None else [])]
        return FileRequirements(
            requirements=unique(self.requirements),
            constraints=unique(self.constraints),
            channels=tuple(name for _, (_, name) in ordered),
            index_url=indexes[0] if self.index_url is not None else None,
            extra_index_urls=tuple(indexes[1:] if self.index_url is not None else indexes),
            find_links=tuple(self.pages),
            project_indexes=self.indexes,
            formats=formats_of(",".join(self.only_binary), ",".join(self.no_binary)),
            pre=self.pre,
            exclude_newer=exclude_newer,
            warnings=tuple(self.warnings),
        )
