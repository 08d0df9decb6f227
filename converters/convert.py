"""A wheel becomes a conda package: what it is called, what it needs, where its files lie, and what its records say.

Pure, but for reading the wheel that is given open. Whether the wheel is sound (its zip, its RECORD, its names) is
judged before, by the caller. Equal input gives equal output: no clock, no locale, no order of a set plays a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """What a wheel is in conda's terms, whatever form it comes in. `index` is an index.json.

    :param hash_input: what the build string is the hash of.
    :param notes: what a person should know of it, one sentence each.
    :param other_pythons: pythons that the wheel fits on this platform and this does not, ascending (3.9 to 3.14).
    """

    named: WheelName
    index: Mapping[str, object]
    hash_input: Mapping[str, str]
    shape: Shape
    extras: tuple[str, ...]
    natives: tuple[NativeFile, ...]
    notes: tuple[str, ...]
    other_pythons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A conda package, not written yet. `record` is of ecosystem `conda`; its file name, hash and size are not known.

    :param info: file name below `info/` → content.
    :param members: the payload, sorted by path; opened only while it is written.
    :param notes: what a person should know of this package, one sentence each.
    :param other_pythons: as in `Described`.
    """

    record: Record
    info: Mapping[str, bytes]
    members: tuple[Member, ...]
    notes: tuple[str, ...]
    other_pythons: tuple[str, ...] = ()


def describe(
    wheel: Manifest, info: WheelInfo, *, target: Target | None, names: NameMap, lookup: MetadataLookup | None = None
) -> Described:
    """The record of a wheel, without its files. As `convert`, and raises as it, but for `path-collision`."""
    if not info.sha256:
        raise ValueError(f"{info.filename}: a package says which wheel it was made from; the sha256 is missing")
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
    """The conda package of a wheel.

    :param archive: the wheel, open; it must stay open until the members are written.
    :param wheel: its manifest, as judged.
    :param info: its provenance; `sha256` must be set.
    :param target: the platform, and the python where the wheel leaves that open; `None`: it must fit everywhere.
    :param lookup: the metadata of other projects, for the extras that the wheel asks of them.

    Raises `UnsafeInputError`: `wheel-name`, `wheel-tag`, `not-portable`, `requires-python`, `requirement-invalid`,
    `requirement-untranslatable`, `version-untranslatable`, `package-name`, `reserved-path`, `path-collision`; and
    `ValueError` without a sha256.
    """
    known = describe(wheel, info, target=target, names=names, lookup=lookup)
    _refuse_names(wheel, known.shape)
    payload = arrange(archive, wheel, known.shape.layout)
    return Converted(
        record=replace(conda_record(known.index), pypi_names=(known.named.project,), extras=known.extras),
        info=info_files(
            wheel, info, payload, layout=known.shape.layout, index=known.index, hash_input=known.hash_input
        ),
        members=tuple(file.member for file in payload.files),
        notes=(*known.notes, *_notes_on_files(wheel, known.named, known.shape, known.natives, payload)),
        other_pythons=known.other_pythons,
    )


def _other_pythons(named: WheelName, shape: Shape, requirements: WheelRequirements) -> tuple[str, ...]:
    """The pythons that other packages of the same wheel would serve."""
    at = microversions(requirements.lines.all)
    found = {
        version
        for fit in fits(named.tags)
        if fit.is_portable or fit.subdir == shape.subdir
        for version in PythonVersions.admitted(requirements.requires_python & fit.pythons, at).window()
        if not shape.pythons.contains(version, prereleases=True)
    }
    return tuple(sorted(found, key=Version))


def _refuse_names(wheel: Manifest, shape: Shape) -> None:
    """File names that the package's platform cannot hold (W40, W44)."""
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
    """Where the package is narrower than the wheel, and why; where the wheel contradicts itself."""
    is_narrow = fit.is_portable and shape.subdir != "noarch"
    if not shape.layout.is_portable and fit.is_portable:
        yield f"made for {shape.subdir} and {shape.layout.include}, where its headers lie"
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
        yield f"made for python {fit.python.minor[0]}.{fit.python.minor[1]}, one of those that the wheel fits"
    if named.tags != written_tags(wheel.tags):
        yield "the tags in the wheel are not those of its file name, which was believed"
    if any("linux_" in tag.platform and not tag.platform.startswith("manylinux") for tag in named.tags):
        yield "its tag does not say which glibc it needs"


def _notes_on_files(
    wheel: Manifest, named: WheelName, shape: Shape, natives: Sequence[NativeFile], payload: Payload
) -> Iterator[str]:
    """Files that are out of the ordinary."""
    site = f"{shape.layout.site_packages}/"
    modules = [file.member.path.removeprefix(site) for file in payload.files if file.member.path.startswith(site)]
    for name in junk_of(modules, named.project):
        yield f"{name} lies at the top of site-packages, where other packages may have one too"
    for path in modules:
        if "/" not in path and path.endswith(".pth"):
            yield f"{path} is read by python whenever it starts, and may run code then"
        elif path in ("sitecustomize.py", "usercustomize.py"):
            yield f"{path} is run by python whenever it starts"
    if natives:
        systems = ", ".join(sorted({native.system for native in natives}))
        yield f"holds native code for {systems} although its tag says that it runs anywhere: {natives[0].path}"
    if caches := [path for path in payload.dropped if path.endswith(".pyc")]:
        yield f"{len(caches)} compiled modules (.pyc) were left out; python makes them again"
    if shape.layout.is_portable and any(command.group == "gui_scripts" for command in wheel.entry_points):
        yield "its graphical commands become console commands, the only kind that conda makes"
    yield from (f"{caution.path}: {caution.detail}" for caution in wheel.cautions)
