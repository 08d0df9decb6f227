"""[tool.pdm] of a pyproject.toml: dev-dependencies, sources and overrides (PDM's reference)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.requirements.files.constructs import Section, describes, honoured, ignored, refused
from bridge.requirements.files.fields import Field
from bridge.requirements.files.values import FileRequirements
from converters.projects import canonicalize_name

__all__ = ["PDM", "RESOLUTION", "SOURCE", "Pdm", "read_pdm"]

PDM = Section(
    name="tool.pdm",
    keys={
        "dev-dependencies": honoured("dependency groups, where `--group` asks for them"),
        "source": honoured("indexes"),
        "resolution": honoured("see below"),
        "distribution": describes("how the project is built"),
        "version": describes("how the project is built"),
        "build": describes("how the project is built"),
        "scripts": ignored("only PDM runs them"),
        "options": ignored("they are options of PDM's commands"),
        "ignore_package_warnings": ignored("it configures the program PDM"),
    },
)
RESOLUTION = Section(
    name="tool.pdm.resolution",
    keys={
        "allow-prereleases": honoured("pre-releases compete"),
        "respect-source-order": ignored("indexes are always asked in their order"),
        "requires-python": ignored("the python is that of the environment"),
        "overrides": refused("bridge overrides no package's requirements"),
        "excludes": refused("bridge leaves out no package's requirements"),
    },
    unknown="refused",
)
SOURCE = Section(
    name="tool.pdm.source",
    keys={
        "url": honoured("its URL"),
        "name": honoured("`pypi` replaces the configured indexes"),
        "type": honoured("`index`, or `find_links`: a page of files"),
        "verify_ssl": honoured("`false`: no TLS verification for its host"),
        "include_packages": honoured("the only index for these projects; patterns are refused"),
        "exclude_packages": refused("name what an index serves with include_packages"),
        "username": refused("write credentials into netrc, or into the URL"),
        "password": refused("write credentials into netrc, or into the URL"),
    },
    unknown="refused",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdm:
    """What [tool.pdm] says; `groups` are dependency groups as PEP 735 has them."""

    groups: Mapping[str, object] = field(default_factory=dict)
    settings: FileRequirements = field(default_factory=FileRequirements)


def read_pdm(field: Field, warnings: list[str]) -> Pdm:
    """Read [tool.pdm]. Raises `UsageError` (`requirement-file`)."""
    table = PDM.check(field, warnings)
    resolution = RESOLUTION.check(table["resolution"].or_empty(), warnings)
    index_url: str | None = None
    further: list[str] = []
    pages: list[str] = []
    hosts: list[str] = []
    bound: dict[str, str] = {}
    for each in table["source"].items():
        source = SOURCE.check(each, warnings)
        url = source["url"].text()
        if source["verify_ssl"].value is False:
            hosts.append(url.partition("://")[2].partition("/")[0].rpartition("@")[2])
        included = source["include_packages"].texts()
        if any("*" in pattern or "?" in pattern for pattern in included):
            raise source["include_packages"].wrong("patterns are not supported", hint="name each project")
        if included:
            bound |= {canonicalize_name(name): url for name in included}
        elif source["type"].value == "find_links":
            pages.append(url)
        elif str(source["name"].value).lower() == "pypi":
            index_url = url
        else:
            further.append(url)
    return Pdm(
        groups=table["dev-dependencies"].table(),
        settings=FileRequirements(
            index_url=index_url,
            extra_index_urls=tuple(further),
            find_links=tuple(pages),
            project_indexes=bound,
            trusted_hosts=tuple(hosts),
            pre=resolution["allow-prereleases"].flag(),
        ),
    )
