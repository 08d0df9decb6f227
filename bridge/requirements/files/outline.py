"""What a requirement file is for: its platforms, and the environments and dependency groups that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.requirements.files import fields
from bridge.requirements.files.pixi import features_of, is_pixi
from bridge.requirements.files.text import read_text
from bridge.requirements.files.toml_text import load_toml
from bridge.requirements.files.yaml_text import load_yaml
from converters.projects import canonicalize_name

__all__ = ["Outline", "outline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What the tables at the top of a file name.

    :param platforms: in their order; empty: the file does not say.
    :param environments: of a pixi manifest, `default` first → the platforms of that environment; empty: all.
    :param groups: the dependency groups of a pyproject.toml (PEP 735) that is no pixi manifest.
    """

    platforms: tuple[str, ...] = ()
    environments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


def outline(path: Path) -> Outline:
    """Read the outline of a file; an empty one for a format that names nothing of the kind.

    Raises `UsageError` (`requirement-file`).
    """
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return _of_toml(path, load_toml(path, read_text(path)))
    if suffix in {".yml", ".yaml"}:
        document = load_yaml(path, read_text(path))
        if isinstance(document, dict) and "dependencies" in document:
            return Outline(platforms=fields.texts(document.get("platforms"), path, "platforms"))
    return Outline()


def _of_toml(path: Path, document: Mapping[str, object]) -> Outline:
    if is_pixi(document):
        return _of_pixi(path, document, "")
    tools = fields.table(document.get("tool"), path, "tool")
    if "pixi" in tools:
        return _of_pixi(path, fields.table(tools["pixi"], path, "tool.pixi"), "tool.pixi.")
    groups = fields.table(document.get("dependency-groups"), path, "dependency-groups")
    return Outline(groups=tuple(dict.fromkeys(canonicalize_name(name) for name in groups)))


def _of_pixi(path: Path, manifest: Mapping[str, object], root: str) -> Outline:
    name = "workspace" if "workspace" in manifest else "project"
    workspace = fields.table(manifest.get(name), path, f"{root}{name}")
    platforms = tuple(dict.fromkeys(_platforms(workspace.get("platforms"), path, f"{root}{name}.platforms")))
    named = fields.table(manifest.get("environments"), path, f"{root}environments")
    features = fields.table(manifest.get("feature"), path, f"{root}feature")
    environments = {}
    for environment in dict.fromkeys(("default", *named)):
        chosen = features_of(manifest, path, root, environment)
        tables = [fields.table(features[each], path, f"{root}feature.{each}") for each in chosen if each in features]
        stated = [table["platforms"] for table in tables if "platforms" in table]
        allowed = [set(_platforms(value, path, f"{root}feature.platforms")) for value in stated]
        environments[environment] = tuple(_in_all(platforms, allowed))
    return Outline(platforms=platforms, environments=environments)


def _in_all(platforms: Iterable[str], allowed: Iterable[set[str]]) -> Iterator[str]:
    sets = tuple(allowed)
    return (each for each in platforms if all(each in known for known in sets))


def _platforms(value: object, path: Path, where: str) -> Iterator[str]:
    for place, entry in enumerate(fields.items(value, path, where)):
        here = f"{where}[{place}]"
        table = {"platform": entry} if isinstance(entry, str) else fields.table(entry, path, here)
        yield fields.text(table.get("platform"), path, here)
