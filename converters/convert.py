"""Convert an open wheel to a conda package in memory: its record, its `info/` documents and its files.

The caller validates the wheel first (zip structure, RECORD, names). Equal input gives equal output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.version import Version

from converters.dependencies import MetadataLookup, WheelRequirements, dependencies, read_requirements
from converters.documents import index_of, info_files
from converters.errors import UnsafeInputError
from converters.layout import junk_of
from converters.markers import PythonVersions, microversions, varying
from converters.names import NameMap
from converters.native import NativeFile
from converters.package import Member
from converters.payload import Archive, Manifest, Payload, arrange
from converters.record import Record, conda_record
from converters.shape import Shape, shape_of
from converters.tags import Fit, choose_fit, fits
from converters.target import SUBDIRS, Target
from converters.wheel import WheelInfo, WheelName, check_name, parse_wheel_name, written_tags

__all__ = ["Converted", "Described", "convert", "describe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A wheel described as a conda package: `index` is its index.json, `hash_input` its hash_input.json.

    :param notes: remarks for the user, one sentence each.
    :param other_pythons: pythons (3.9 to 3.14, ascending) that the wheel supports on this platform and this does not.
    :param guessed: names of dependencies for which there is no evidence (`Dependencies.guessed`).
    """

    named: WheelName
    index: Mapping[str, object]
    hash_input: Mapping[str, str]
    shape: Shape
    extras: tuple[str, ...]
    natives: tuple[NativeFile, ...]
    notes: tuple[str, ...]
    other_pythons: tuple[str, ...]
    guessed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A conda package that is not written yet; `record` lacks file name, hash and size.

    :param info: file name in `info/` → content.
    :param members: the payload, sorted by path; opened only while it is written.
    :param notes: as in `Described`, like `other_pythons` and `guessed`.
    """

    record: Record
    info: Mapping[str, bytes]
    members: tuple[Member, ...]
    notes: tuple[str, ...]
    other_pythons: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()


def describe(
    wheel: Manifest, info: WheelInfo, *, target: Target | None, names: NameMap, lookup: MetadataLookup | None = None
) -> Described:
    """Describe a wheel without its files. Parameters and errors are those of `convert`, except `path-collision`."""
    if not info.sha256:
        raise ValueError(f"{info.filename}: the sha256 is missing, which the package must state")
    named = parse_wheel_name(info.filename)
    check_name(named, wheel.metadata, info.filename)
    fit = choose_fit(info.filename, named.tags, target)
    natives = [member.native for member in wheel.members if member.native is not None] if fit.is_portable else []
    requirements = read_requirements(wheel.metadata, lookup)
    shape = shape_of(wheel, fit, natives, requirements, target)
    needs = dependencies(requirements, shape.span, names)
    index, hash_input = index_of(named, wheel, info, shape=shape, fit=fit, needs=needs, names=names)
    return Described(
        named=named,
        index=index,
        hash_input=hash_input,
        shape=shape,
        extras=tuple(needs.extra_depends),
        natives=tuple(natives),
        notes=(*needs.notes, *_notes_on_fit(wheel, named, shape, fit, requirements)),
        other_pythons=_other_pythons(named, shape, requirements),
        guessed=needs.guessed,
    )


def convert(
    archive: Archive,
    wheel: Manifest,
    info: WheelInfo,
    *,
    target: Target | None,
    names: NameMap,
    lookup: MetadataLookup | None = None,
) -> Converted:
    """Convert a wheel to a conda package.

    :param archive: the wheel; it must stay open until the members are written.
    :param wheel: its validated manifest.
    :param info: its provenance; `sha256` must be set.
    :param target: the platform, and the python if the wheel supports several; `None`: the package must fit everywhere.
    :param lookup: the metadata of other projects, whose extras the wheel requires.

    Raises `UnsafeInputError`: `wheel-name`, `wheel-tag`, `not-portable`, `requires-python`, `requirement-invalid`,
    `requirement-untranslatable`, `version-untranslatable`, `package-name`, `reserved-path`, `path-collision`; and
    `ValueError` without a sha256.
    """
    described = describe(wheel, info, target=target, names=names, lookup=lookup)
    _refuse_names(wheel, described.shape)
    payload = arrange(archive, wheel, described.shape.layout)
    return Converted(
        record=replace(conda_record(described.index), pypi_names=(described.named.project,), extras=described.extras),
        info=info_files(
            wheel, info, payload, layout=described.shape.layout, index=described.index, hash_input=described.hash_input
        ),
        members=tuple(file.member for file in payload.files),
        notes=(*described.notes, *_notes_on_files(wheel, described, payload)),
        other_pythons=described.other_pythons,
        guessed=described.guessed,
    )


def _other_pythons(named: WheelName, shape: Shape, requirements: WheelRequirements) -> tuple[str, ...]:
    """Return the pythons that other packages of the same wheel would serve."""
    at = microversions(requirements.lines.all)
    versions = {
        version
        for fit in fits(named.tags)
        if fit.is_portable or fit.subdir == shape.subdir
        for version in PythonVersions.admitted(requirements.requires_python & fit.pythons, at).window()
        if not shape.pythons.contains(version, prereleases=True)
    }
    return tuple(sorted(versions, key=Version))


def _refuse_names(wheel: Manifest, shape: Shape) -> None:
    """Refuse file names that are impossible on the package's platform (W40, W44)."""
    unfit = {"win": {"windows-name", "case-collision"}, "osx": {"case-collision"}}.get(
        shape.subdir.split("-")[0], set()
    )
    for caution in wheel.cautions:
        if caution.id in unfit:
            raise UnsafeInputError(
                "path-collision" if caution.id == "case-collision" else "reserved-path",
                f"{wheel.filename}: {caution.path} cannot be on {shape.subdir}: {caution.detail}",
            )


def _notes_on_fit(
    wheel: Manifest, named: WheelName, shape: Shape, fit: Fit, requirements: WheelRequirements
) -> Iterator[str]:
    """Say where and why the package serves less than the wheel, and where the wheel contradicts itself."""
    is_narrow = fit.is_portable and shape.subdir != "noarch"
    if not shape.layout.is_portable and fit.is_portable:
        yield f"made for {shape.subdir} and {shape.layout.include}, where its headers are installed"
    elif is_narrow or shape.span.pythons:
        admitted = PythonVersions.admitted(
            requirements.requires_python & fit.pythons, microversions(requirements.lines.all)
        )
        subdirs = sorted(SUBDIRS) if fit.is_portable else [fit.subdir]
        others = varying(requirements.lines.all, admitted.places(subdirs))
        place = [shape.subdir] if is_narrow else []
        place += [f"python {shape.span.pythons}"] if shape.span.pythons else []
        why = f": elsewhere it requires other packages ({', '.join(others)})" if others else ""
        yield f"made for {' and '.join(place)}{why}"
    if fit.abi == "abi3":
        yield f"built for the stable ABI: one package for every python {fit.pythons} with a GIL"
    if fit.python is not None and len({tag.interpreter for tag in named.tags}) > 1:
        yield f"made for python {fit.python.minor[0]}.{fit.python.minor[1]}, one of those that the wheel supports"
    if named.tags != written_tags(wheel.tags):
        yield "the tags in the wheel differ from those in its file name, which were used"
    if any("linux_" in tag.platform and not tag.platform.startswith("manylinux") for tag in named.tags):
        yield "its tag does not say which glibc it needs"


def _notes_on_absent_files(payload: Payload) -> Iterator[str]:
    """Say which files of the wheel are not in the package, and which METADATA misses."""
    for path in payload.missing_licenses:
        yield f"METADATA lists the licence file {path}, which the wheel does not contain"
    for path in payload.replaced:
        if not path.endswith((".exe", "-script.py")):
            yield f"{path} is left out: the entry point of that name makes the command, as in pip"
    if caches := [path for path in payload.dropped if path.endswith(".pyc")]:
        yield f"{len(caches)} compiled modules (.pyc) were left out; python makes them again"


def _notes_on_files(wheel: Manifest, described: Described, payload: Payload) -> Iterator[str]:
    """Report unusual files."""
    layout, natives = described.shape.layout, described.natives
    site = f"{layout.site_packages}/"
    modules = [file.member.path.removeprefix(site) for file in payload.files if file.member.path.startswith(site)]
    for name in junk_of(modules, described.named.project):
        yield f"{name} is at the top of site-packages, where other packages may have one too"
    for path in modules:
        if "/" not in path and path.endswith(".pth"):
            yield f"{path} is read by python at every start, and can run code then"
        elif path in ("sitecustomize.py", "usercustomize.py"):
            yield f"{path} is run by python at every start"
    if natives:
        systems = ", ".join(sorted({native.system for native in natives}))
        yield f"has native code for {systems} although it is tagged for any platform: {natives[0].path}"
    yield from _notes_on_absent_files(payload)
    if layout.is_portable and any(command.group == "gui_scripts" for command in wheel.entry_points):
        yield "its graphical commands become console commands, the only kind that conda makes"
    yield from (f"{caution.path}: {caution.detail}" for caution in wheel.cautions)
