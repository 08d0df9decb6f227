"""Small universes for the resolver: conda records, wheels, a name map and a target, served from memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from packaging.utils import canonicalize_name, parse_sdist_filename

from bridge.model import IndexFile, Resolution
from bridge.requirements.algebra import Requirement, conda_requirement, parse_pypi
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.record import Record, conda_record
from converters.target import Target
from converters.wheel import parse_wheel_name

CHANNEL = "https://channel.example/main"
INDEX = "https://index.example/simple"
VIRTUAL = {
    "linux-64": {"__unix": "0", "__linux": "6.1", "__archspec": "1"},
    "osx-arm64": {"__unix": "0", "__osx": "14.0", "__archspec": "1"},
    "win-64": {"__win": "0", "__archspec": "1"},
}
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def record(name: str, version: str, *depends: str, **fields: object) -> Record:
    """A conda record; `fields` are those of repodata (`build`, `constrains`, `noarch`, …)."""
    build = fields.get("build", "0")
    subdir = "noarch" if fields.get("noarch") else "linux-64"
    filename = f"{name}-{version}-{build}.conda"
    data = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "depends": list(depends),
        "subdir": subdir,
        "fn": filename,
        "channel": CHANNEL,
        **fields,
    }
    data["url"] = f"{CHANNEL}/{data['subdir']}/{filename}"
    return conda_record(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A file of the index and its METADATA; `is_hidden`: the index does not list it, only its URL leads to it."""

    file: IndexFile
    metadata: CoreMetadata
    is_hidden: bool = False


def wheel(
    filename: str,
    *requires: str,
    requires_python: str | None = None,
    yanked: str | None = None,
    upload_time: int | None = None,
    url: str | None = None,
    extras: Iterable[str] = (),
) -> Wheel:
    """A wheel (or an sdist). The extras are those of its markers, and `extras`."""
    if filename.endswith(".whl"):
        named = parse_wheel_name(filename)
        project, version = named.project, str(named.version)
    else:
        project, parsed = parse_sdist_filename(filename)
        version = str(parsed)
    named_extras = {canonicalize_name(extra) for text in requires for extra in _EXTRA.findall(text)}
    file = IndexFile(
        project=project,
        filename=filename,
        version=version,
        url=url or f"{INDEX}/{filename}",
        origin=INDEX,
        requires_python=requires_python,
        yanked=yanked,
        upload_time=upload_time,
    )
    metadata = CoreMetadata(
        name=project,
        version=version,
        requires_python=requires_python,
        requires_dist=requires,
        provides_extra=tuple(sorted({*named_extras, *extras})),
    )
    return Wheel(file=file, metadata=metadata, is_hidden=url is not None)


def target(subdir: str = "linux-64", **virtual: str) -> Target:
    """A target with the virtual packages that every one of its platform has, and these (`glibc="2.28"`)."""
    packages = VIRTUAL[subdir] | {f"__{name.removeprefix('__')}": version for name, version in virtual.items()}
    return Target(subdir=subdir, virtual_packages=tuple((name, version, "0") for name, version in packages.items()))


LINUX = target(glibc="2.36")


class Ports:
    """A channel and an index in memory. They note what was asked of them."""

    def __init__(self, records: Iterable[Record], wheels: Iterable[Wheel], subdir: str) -> None:
        self._records: dict[str, list[Record]] = {}
        for one in records:
            if one.subdir in (subdir, "noarch"):
                self._records.setdefault(one.name, []).append(one)
        self._files: dict[str, list[IndexFile]] = {}
        self._by_url: dict[str, IndexFile] = {}
        self._metadata: dict[str, CoreMetadata] = {}
        for each in wheels:
            self._metadata[each.file.url] = each.metadata
            self._by_url[each.file.url] = each.file
            if not each.is_hidden:
                self._files.setdefault(each.file.project, []).append(each.file)
        self.names_read: list[str] = []
        self.projects_read: list[str] = []
        self.metadata_read: list[str] = []

    def prefetch(self, names: Iterable[str]) -> None:
        list(names)

    def records(self, name: str) -> Sequence[Record]:
        self.names_read.append(name)
        return tuple(self._records.get(name, ()))

    def prefetch_files(self, projects: Iterable[str]) -> None:
        list(projects)

    def files(self, project: str) -> Sequence[IndexFile]:
        self.projects_read.append(project)
        return tuple(self._files.get(project, ()))

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        list(files)

    def metadata(self, file: IndexFile) -> CoreMetadata:
        self.metadata_read.append(file.filename)
        return self._metadata[file.url]

    def file_of_url(self, url: str, project: str) -> IndexFile:
        return self._by_url[url]

    def remarks(self, project: str) -> Sequence[str]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A closed universe: what is not listed does not exist."""

    records: tuple[Record, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    names: Mapping[str, object] = field(default_factory=dict)
    target: Target = LINUX
    options: Options = field(default_factory=Options)

    def ports(self) -> Ports:
        return Ports(self.records, self.wheels, self.target.subdir)

    def catalog(self) -> Catalog:
        ports = self.ports()
        return Catalog(ports, ports, self.target, NameMap(self.names, "the test's names"), self.options)

    def solve(self, conda: Sequence[str] = (), pypi: Sequence[str] = ()) -> Resolution:
        """Resolve MatchSpecs and PEP 508 requirements together. Raises `NoSolutionError`."""
        return resolve(solve_request(conda, pypi), self.catalog())


def describe(world: World) -> str:
    """A universe in a few lines, for the notes of a failing test."""
    lines = [f"names {dict(world.names)}"]
    for one in world.records:
        needs = f"{list(one.requirements)} constrains {list(one.constraints)}" if one.constraints else one.requirements
        lines.append(f"conda {one.name} {one.version} {one.build} {needs}")
    lines += [
        f"wheel {w.file.filename} {w.file.requires_python or ''} {w.metadata.requires_dist}" for w in world.wheels
    ]
    return "\n".join(lines)


def requests(conda: Sequence[str] = (), pypi: Sequence[str] = ()) -> list[Requirement]:
    return [conda_requirement(text) for text in conda] + [parse_pypi(text) for text in pypi]


def solve_request(conda: Sequence[str] = (), pypi: Sequence[str] = ()) -> SolveRequest:
    return SolveRequest(requirements=tuple(requests(conda, pypi)))


def picks(resolution: Resolution) -> dict[str, str]:
    """What was chosen: `{"numpy": "conda 2.1.3", "rich": "wheel 13.9"}`, by native name."""
    packages = (package.record for package in resolution.packages)
    return {one.name: f"{one.ecosystem} {one.version}" for one in packages}


def milliseconds(time: str | datetime | None) -> int | None:
    """A TOML time, or its text, in milliseconds since the epoch."""
    if time is None:
        return None
    if isinstance(time, str):
        time = datetime.fromisoformat(time.removesuffix("Z")).replace(tzinfo=timezone.utc)
    return int(time.timestamp() * 1000)
