"""Convert an open wheel to conda packages in memory: their records, their `info/` documents and their files.

The caller validates the wheel first (zip structure, RECORD, names). Equal input gives equal output.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from converters.deferred import replace
from converters.dependencies import Evaluator, MetadataLookup, dependencies, read_requirements
from converters.documents import index_of, info_files
from converters.errors import UnsafeInputError
from converters.layout import junk_of
from converters.names import NameMap
from converters.native import NativeFile
from converters.notes import Note
from converters.package import Member
from converters.payload import Archive, Manifest, Payload, arrange
from converters.record import Record, conda_record
from converters.rules import DependencyRules
from converters.shape import Shape, shapes_of
from converters.wheel import WheelInfo, WheelName, check_name, parse_wheel_name, written_tags

__all__ = ["Converted", "Described", "Packages", "convert", "describe"]

Package = TypeVar("Package")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(Generic[Package]):
    """The packages of a wheel, at least one. `notes`: where the wheel runs and no package serves it."""

    all: tuple[Package, ...]
    notes: tuple[Note, ...] = ()

    def each(self, make: Callable[[Package], Made], label: Callable[[Package], str]) -> Packages[Made]:
        """Apply `make` to each package. A package that is refused becomes a note, unless all are refused."""
        made, refused = [], []
        for package in self.all:
            try:
                made.append(make(package))
            except UnsafeInputError as error:
                refused.append((label(package), error))
        if not made:
            raise refused[0][1]
        notes = (
            Note(kind="incomplete", text=f"no package for {where}: {error.message}", detail=where)
            for where, error in refused
        )
        return Packages(all=tuple(made), notes=(*self.notes, *notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A wheel described as a conda package: `index` is its index.json, `hash_input` its hash_input.json.

    :param notes: remarks for the user.
    :param guessed: names of dependencies for which there is no evidence (`Dependencies.guessed`).
    """

    named: WheelName
    index: Mapping[str, object]
    hash_input: Mapping[str, str]
    shape: Shape
    extras: tuple[str, ...]
    natives: tuple[NativeFile, ...]
    notes: tuple[Note, ...]
    guessed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A conda package that is not written yet; `record` lacks file name, hash and size.

    :param info: file name in `info/` → content.
    :param members: the payload, sorted by path; opened only while it is written.
    :param notes: as in `Described`, like `guessed`.
    """

    record: Record
    info: Mapping[str, bytes]
    members: tuple[Member, ...]
    notes: tuple[Note, ...]
    guessed: tuple[str, ...] = ()


def describe(
    wheel: Manifest,
    info: WheelInfo,
    *,
    platforms: Collection[str] = (),
    names: NameMap,
    lookup: MetadataLookup | None = None,
    rules: DependencyRules | None = None,
) -> Packages[Described]:
    """Describe the packages of a wheel without its files. Parameters and errors are those of `convert`."""
    if not info.sha256:
        raise ValueError(f"{info.filename}: the sha256 is missing, which the package must state")
    named = parse_wheel_name(info.filename)
    check_name(named, wheel.metadata, info.filename)
    is_portable = any(tag.platform == "any" for tag in named.tags)
    natives = [member.native for member in wheel.members if member.native is not None] if is_portable else []
    changes = rules.of(wheel.metadata.name) if rules is not None else None
    requirements = read_requirements(wheel.metadata, lookup, changes)
    evaluator = Evaluator(requirements)
    shapes = _chosen(wheel, shapes_of(wheel, named, natives, evaluator), platforms)

    def made(shape: Shape) -> Described:
        _refuse_names(wheel, shape)
        needs = dependencies(evaluator, shape.span, names)
        index, hash_input = index_of(named, wheel, info, shape=shape, needs=needs, names=names)
        return Described(
            named=named,
            index=index,
            hash_input=hash_input,
            shape=shape,
            extras=tuple(needs.extra_depends),
            natives=tuple(natives),
            notes=(*needs.notes, *_notes_on_fit(wheel, named, shape)),
            guessed=needs.guessed,
        )

    return shapes.each(made, _label)


def _label(shape: Shape) -> str:
    """Return the places of a package in words."""
    return shape.span.label or f"python {shape.pythons}"


def _chosen(wheel: Manifest, shapes: Sequence[Shape], platforms: Collection[str]) -> Packages[Shape]:
    """Return the shapes that serve `platforms` (empty: all). Raises `UnsafeInputError` (`wheel-tag`) if none does."""
    served = {subdir for shape in shapes for subdir in shape.span.subdirs}
    chosen = [shape for shape in shapes if not platforms or not set(shape.span.subdirs).isdisjoint(platforms)]
    missing = ", ".join(sorted(set(platforms) - served))
    where = ", ".join(sorted(served))
    if not chosen:
        raise UnsafeInputError(
            "wheel-tag",
            f"{wheel.filename} runs on {where}, not on {missing}",
            context=(f"tags: {', '.join(sorted(wheel.tags))}",),
            hint=f"convert it for that platform: --platform {min(served)}",
        )
    note = Note(kind="incomplete", text=f"no package for {missing}: the wheel runs on {where}", detail=missing)
    return Packages(all=tuple(chosen), notes=(note,) if missing else ())


def convert(
    archive: Archive,
    wheel: Manifest,
    info: WheelInfo,
    *,
    platforms: Collection[str] = (),
    names: NameMap,
    lookup: MetadataLookup | None = None,
    rules: DependencyRules | None = None,
) -> Packages[Converted]:
    """Convert a wheel to conda packages for all platforms and pythons on which it runs.

    :param archive: the wheel; it must stay open until the members are written.
    :param wheel: its validated manifest.
    :param info: its provenance; `sha256` must be set.
    :param platforms: make only the packages that serve these subdirs; empty: all.
    :param lookup: the metadata of other projects, whose extras the wheel requires.
    :param rules: changes of its dependencies; renames are those of `names`.

    A package that cannot be made is a note, if others can. Raises `UnsafeInputError` if none can: `wheel-name`,
    `wheel-tag`, `requires-python`, `requirement-invalid`, `requirement-untranslatable`, `version-untranslatable`,
    `package-name`, `reserved-path`, `path-collision`; and `ValueError` without a sha256.
    """
    described = describe(wheel, info, platforms=platforms, names=names, lookup=lookup, rules=rules)
    arranged = cache(lambda layout: arrange(archive, wheel, layout))

    def made(package: Described) -> Converted:
        layout = package.shape.layout
        payload = arranged(layout)
        documents = info_files(wheel, info, payload, layout=layout, index=package.index, hash_input=package.hash_input)
        return Converted(
            record=replace(conda_record(package.index), pypi_names=(package.named.project,), extras=package.extras),
            info=documents,
            members=tuple(file.member for file in payload.files),
            notes=(*package.notes, *_notes_on_files(wheel, package, payload)),
            guessed=package.guessed,
        )

    return described.each(made, lambda package: _label(package.shape))


def _refuse_names(wheel: Manifest, shape: Shape) -> None:
    """Refuse file names that are impossible on the package's platform (W40, W44)."""
    unfit = {"windows-name", "case-collision"} if shape.span.is_windows else set()
    unfit |= {"case-collision"} if shape.span.is_macos else set()
    for caution in wheel.cautions:
        if caution.id in unfit:
            raise UnsafeInputError(
                "path-collision" if caution.id == "case-collision" else "reserved-path",
                f"{wheel.filename}: {caution.path} cannot be on {_label(shape)}: {caution.detail}",
            )


def _notes_on_fit(wheel: Manifest, named: WheelName, shape: Shape) -> Iterator[Note]:
    """Say where the wheel contradicts itself, and what its tags leave open."""
    if shape.fit.abi == "abi3":
        text = f"built for the stable ABI: one package for every python {shape.fit.pythons} with a GIL"
        yield Note(kind="information", text=text)
    if named.tags != written_tags(wheel.tags):
        yield Note(kind="tags", text="the tags in the wheel differ from those in its file name, which were used")
    if any(tag.platform.startswith("linux_") for tag in named.tags):
        yield Note(kind="glibc", text="its tag does not say which glibc it needs")


def _notes_on_absent_files(payload: Payload) -> Iterator[Note]:
    """Say which files of the wheel are not in the package, and which METADATA misses."""
    for path in payload.missing_licenses:
        text = f"METADATA lists the licence file {path}, which the wheel does not contain"
        yield Note(kind="license", text=text, detail=path)
    for path in payload.replaced:
        if not path.endswith((".exe", "-script.py")):
            text = f"{path} is left out: the entry point of that name makes the command, as in pip"
            yield Note(kind="script", text=text, detail=path)
    if caches := [path for path in payload.dropped if path.endswith(".pyc")]:
        text = f"{len(caches)} compiled modules (.pyc) were left out; python makes them again"
        yield Note(kind="information", text=text)


def _notes_on_files(wheel: Manifest, described: Described, payload: Payload) -> Iterator[Note]:
    """Report unusual files."""
    layout, natives = described.shape.layout, described.natives
    site = f"{layout.site_packages}/"
    modules = [file.member.path.removeprefix(site) for file in payload.files if file.member.path.startswith(site)]
    for name in junk_of(modules, described.named.project):
        text = f"{name} is at the top of site-packages, where other packages may have one too"
        yield Note(kind="top-level", text=text, detail=name)
    for path in modules:
        if "/" not in path and path.endswith(".pth"):
            text = f"{path} is read by python at every start, and can run code then"
            yield Note(kind="startup", text=text, detail=path)
        elif path in ("sitecustomize.py", "usercustomize.py"):
            yield Note(kind="startup", text=f"{path} is run by python at every start", detail=path)
    if natives:
        systems = ", ".join(sorted({native.system for native in natives}))
        text = f"has native code for {systems} although it is tagged for any platform: {natives[0].path}"
        yield Note(kind="native", text=text, detail=systems)
    yield from _notes_on_absent_files(payload)
    if layout.is_portable and any(command.group == "gui_scripts" for command in wheel.entry_points):
        text = "its graphical commands become console commands, the only kind that conda makes"
        yield Note(kind="gui", text=text)
    for caution in wheel.cautions:
        text = f"{caution.path}: {caution.detail}"
        is_command = caution.id == "entry-point"
        yield Note(kind="entry-point" if is_command else "caution", text=text, detail=caution.detail)
