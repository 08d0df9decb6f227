"""What a requirement file is for: its platforms, and the environments and dependency groups that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.requirements.files.fields import Field
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
        return _of_toml(Field(load_toml(path, read_text(path)), path))
    if suffix in {".yml", ".yaml"}:
        document = load_yaml(path, read_text(path))
        if isinstance(document, dict) and "dependencies" in document:
            return Outline(platforms=Field(document, path)["platforms"].texts())
    return Outline()


def _of_toml(document: Field) -> Outline:
    if is_pixi(document.table()):
        return _of_pixi(document)
    tools = document["tool"]
    if "pixi" in tools:
        return _of_pixi(tools["pixi"])
    groups = document["dependency-groups"].table()
    return Outline(groups=tuple(dict.fromkeys(map(canonicalize_name, groups))))


def _of_pixi(manifest: Field) -> Outline:
    workspace = manifest["workspace" if "workspace" in manifest else "project"]
    platforms = tuple(dict.fromkeys(_platforms(workspace["platforms"])))
    features = manifest["feature"]
    environments = {}
    for environment in dict.fromkeys(("default", *manifest["environments"].table())):
        chosen = [features[each] for each in features_of(manifest, environment) if each in features]
        allowed = [set(_platforms(each["platforms"])) for each in chosen if "platforms" in each]
        environments[environment] = tuple(each for each in platforms if all(each in known for known in allowed))
    return Outline(platforms=platforms, environments=environments)


def _platforms(field: Field) -> Iterator[str]:
    return (each.spelled_out("platform")["platform"].text() for each in field.items())
