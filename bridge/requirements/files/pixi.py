"""pixi.toml and [tool.pixi]: one environment of a workspace, for one platform (pixi's manifest reference)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.config.builds import formats_of
from bridge.requirements.algebra import Requirement
from bridge.requirements.files.fields import Field
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
from bridge.requirements.files.values import Chosen, FileRequirements, unique
from converters.deferred import replace

__all__ = ["features_of", "is_pixi", "read_pixi"]

_SYSTEMS = {"linux": ("unix", "linux"), "osx": ("unix", "osx"), "win": ("win",)}
_RUN = ("build-dependencies", "host-dependencies", "dependencies")  # a later table replaces a name of an earlier one


def is_pixi(document: Mapping[str, object]) -> bool:
    """Return whether a TOML document is a pixi.toml: a workspace, or a former `project` with channels."""
    project = document.get("project")
    return "workspace" in document or (isinstance(project, dict) and "channels" in project)


def features_of(manifest: Field, environment: str | None) -> tuple[str, ...]:
    """Return the features of an environment, `default` for the tables at the top. Raises `UsageError`."""
    environments, name = manifest["environments"], environment or "default"
    if name not in environments:
        if name != "default":
            known = ", ".join(sorted({"default", *environments.table()}))
            raise environments.wrong(f"there is no environment {name!r}", context=(f"known: {known}",))
        return ("default",)
    each = environments[name]
    table = ENVIRONMENT.check(each.holding({"features": each.value}) if isinstance(each.value, list) else each, [])
    has_default = not table["no-default-feature"].flag()
    return (*table["features"].texts(), *(("default",) if has_default else ()))


def read_pixi(field: Field, chosen: Chosen, *, others: Iterable[str] = ()) -> FileRequirements:
    """Read one environment of a manifest. Raises `UsageError` (`requirement-file`).

    :param field: a pixi.toml, or the table of a pyproject.toml.
    :param others: features that the rest of a pyproject.toml defines: extras and dependency groups.
    """
    warnings: list[str] = []
    manifest = MANIFEST.check(field, warnings)
    workspace = manifest["workspace" if "workspace" in manifest else "project"]
    workspace = WORKSPACE.check(workspace.or_empty(), warnings)
    _only_known(workspace)
    environment = manifest["environments"][chosen.environment or "default"]
    reading = _Reading(path=manifest.path, platform=chosen.platform, warnings=warnings)
    reading.platforms(workspace["platforms"])
    if isinstance(environment.value, dict):
        reading.feature(ENVIRONMENT.check(environment, warnings))
    features = manifest["feature"]
    defined = {*others, *features.table()}
    for feature in features_of(manifest, chosen.environment):
        if feature == "default":
            reading.content(manifest)
        elif feature in features:
            reading.feature(FEATURE.check(features[feature], warnings))
        elif feature not in defined:
            known = ", ".join(sorted(defined)) or "none"
            raise manifest["environments"].wrong(f"there is no feature {feature!r}", context=(f"known: {known}",))
    reading.channel_list(workspace["channels"])
    reading.options(workspace["pypi-options"])
    listed = reading.result(workspace["exclude-newer"].cutoff())
    return replace(listed, exclude_newer_of=manifest["exclude-newer"].cutoffs())


def _only_known(table: Field) -> None:
    hint = "remove the key; --channel-priority flexible lets lower channels serve, too"
    _check_allowed(table, "channel-priority", ("strict",), hint)
    _check_allowed(table, "solve-strategy", ("highest",), "remove the key; bridge takes the newest versions")


def _check_allowed(table: Field, key: str, allowed: Collection[str], hint: str) -> None:
    if key in table and table[key].value not in allowed:
        raise table[key].wrong(f"bridge does not support {table[key].value!r}", hint=hint)


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

    def feature(self, table: Field) -> None:
        _only_known(table)
        self.platforms(table["platforms"])
        self.channel_list(table["channels"])
        self.content(table)

    def content(self, table: Field) -> None:
        """Read the tables of a feature, those of a matching `target` over them."""
        layers = [table, *self._targets(table["target"])]
        for name, spec in _merged(layers, _RUN):
            self.requirements.append(conda_spec(name, spec, self.warnings))
        for name, spec in _merged(layers, ("pypi-dependencies",)):
            requirement, index = pypi_spec(name, spec, self.warnings)
            self.requirements.append(requirement)
            if index is not None:
                self.indexes[requirement.name] = index
        for name, spec in _merged(layers, ("constraints",)):
            self.constraints.append(conda_spec(name, spec, self.warnings))
        system = SYSTEM.check(table["system-requirements"].or_empty(), self.warnings)
        self.requirements += system_requirements(system, self.platform)
        self.options(table["pypi-options"])

    def _targets(self, targets: Field) -> Iterator[Field]:
        """Yield the matching target tables, the most specific last; check the keys of all of them."""
        known = ("unix", "linux", "osx", "win")
        mine = (
            *_SYSTEMS[self.platform.split("-")[0]],
            self.platform,
            *(name for name, ours in self.named.items() if ours),
        )
        checked = {}
        for selector, table in targets.entries():
            if selector not in (*known, *self.named) and "-" not in selector:
                raise table.wrong("this is not a platform", hint=f"known: {', '.join(known)}, linux-64, …")
            checked[selector] = TARGET.check(table, self.warnings if selector in mine else [])
        return (checked[selector] for selector in mine if selector in checked)

    def platforms(self, listed: Field) -> None:
        """Read the platforms of a workspace or a feature; the first that fits is taken, one without conditions if any.

        Raises `UsageError` where none fits.
        """
        tables = [PLATFORM.check(each.spelled_out("platform"), self.warnings) for each in listed.items()]
        subdirs = [table["platform"].text() for table in tables]
        fitting = [each for each, subdir in zip(tables, subdirs, strict=True) if subdir == self.platform]
        if tables and not fitting:
            known = ", ".join(dict.fromkeys(subdirs))
            problem = f"the workspace is for {known}, and this is solved for {self.platform}"
            raise listed.wrong(problem, hint="add the platform, or name another with --platform")
        conditions = [
            (each.holding({key: value for key, value in each.table().items() if key in SYSTEM.keys}), each)
            for each in fitting
        ]
        for needed, taken in sorted(conditions, key=lambda each: bool(each[0].value))[:1]:
            self.requirements += system_requirements(needed, self.platform)
            self.named |= {str(each["name"].value): each is taken for each in tables if "name" in each}

    def channel_list(self, listed: Field) -> None:
        for each in listed.items():
            checked = CHANNEL.check(each.spelled_out("channel"), self.warnings)
            priority = checked.table().get("priority", 0)
            if not isinstance(priority, int):
                raise checked["priority"].wrong("a number was expected")
            name = checked["channel"].text()
            if name not in {known for _, known in self.channels}:
                self.channels.append((priority, name))

    def options(self, stated: Field) -> None:
        table = PYPI_OPTIONS.check(stated.or_empty(), self.warnings)
        for key, allowed in (
            ("index-strategy", ("first-index",)),
            ("prerelease-mode", ("allow", "if-necessary-or-explicit", "explicit", "if-necessary")),
        ):
            hint = f"allowed here: {', '.join(allowed)}"
            hint += "; --index-strategy best compares all indexes" if key == "index-strategy" else ""
            _check_allowed(table, key, allowed, hint)
        self.index_url = self.index_url or table["index-url"].text_or_none()
        self.extra += table["extra-index-urls"].texts()
        self.pages += map(_page, table["find-links"].items())
        self.only_binary += _formats(table["no-build"])
        self.no_binary += _formats(table["no-binary"])
        self.pre = self.pre or table["prerelease-mode"].value == "allow"

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


def _merged(layers: Iterable[Field], keys: tuple[str, ...]) -> Iterable[tuple[str, Field]]:
    """Return name and value of each dependency; a more specific table replaces it."""
    return {name: each for table in layers for key in keys for name, each in table[key].entries()}.items()


def _page(field: Field) -> str:
    if not isinstance(field.value, dict) or len(field.value) != 1 or next(iter(field.value)) not in {"path", "url"}:
        raise field.wrong("a table with path or url was expected")
    key, place = next(iter(field.value.items()))
    text = field.holding(place).text()
    return text if key == "url" else str((field.path.absolute().parent / text).resolve())


def _formats(field: Field) -> tuple[str, ...]:
    if isinstance(field.value, (bool, type(None))):
        return (":all:",) if field.value else ()
    return field.texts()
