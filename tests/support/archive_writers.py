"""Archives as builders of each time wrote them: the same package in the zip, tar and metadata forms of each.

The forms are facts read off public packages, and off the public sources of conda-build, conda-package-handling,
conda-package-streaming and rattler: order and modes of zip members, zip64 fields, tar formats, owners, times, padding,
directories, which `info/` files there are and in which tar they lie. A clone without `../shared` tries the same kinds.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.hostile import Entry, Zip, pax, tar_file, tar_header, tar_of, zip64_extra, zstd

__all__ = ["KINDS", "WRITERS", "Package", "native", "python"]

PLACEHOLDER = "/opt/b/" + "placehold_" * 24 + "pl"
LONG = "share/demo/" + "d" * 80 + "/" + "f" * 60 + ".txt"
STAMP = 1_700_000_000
DOCUMENT = b'{"conda_pkg_format_version": 2}'
COMPACT = b'{"conda_pkg_format_version":2}'  # as Rust writes it


@dataclass(frozen=True, kw_only=True)
class Package:
    """What is packed. `links`: path → target. `hard`: path → the file it is another name of."""

    index: Mapping[str, object]
    files: Mapping[str, bytes]
    links: Mapping[str, str] = field(default_factory=dict)
    hard: Mapping[str, str] = field(default_factory=dict)
    placeholders: Mapping[str, str] = field(default_factory=dict)  # path → mode
    executable: frozenset[str] = frozenset()
    link: Mapping[str, object] | None = None

    @property
    def stem(self) -> str:
        return f"{self.index['name']}-{self.index['version']}-{self.index['build']}"

    def content(self, path: str) -> bytes:
        return self.files[self.hard.get(path, path)]

    def paths(self) -> list[str]:
        return sorted([*self.files, *self.links, *self.hard])


def native(*, hard: bool = False) -> Package:
    """A package of one platform: text and binary placeholders, links, long, empty and non-ASCII names."""
    index = {"name": "demo", "version": "1.0", "build": "h0_0", "build_number": 0, "depends": [], "arch": "x86_64",
             "platform": "linux", "subdir": "linux-64", "license": "MIT", "timestamp": STAMP * 1000}  # fmt: skip
    return Package(
        index=index,
        files={
            "bin/tool": f"#!{PLACEHOLDER}/bin/sh\necho {PLACEHOLDER}\n".encode(),
            "lib/libdemo.so.1": b"\x7fELF\0" + PLACEHOLDER.encode() + b"/share\0\0rest",
            "share/demo/empty": b"",
            "share/demo/ünï.txt": b"text\n",
            LONG: b"long\n",
        },
        links={"lib/libdemo.so": "libdemo.so.1", "share/demo/up": "../../bin/tool"},
        hard={"share/demo/same": "share/demo/ünï.txt"} if hard else {},
        placeholders={"bin/tool": "text", "lib/libdemo.so.1": "binary"},
        executable=frozenset({"bin/tool"}),
    )


def python(*, hard: bool = False) -> Package:
    """A noarch python package with a command and a script."""
    index = {"name": "demo", "version": "2.0", "build": "pyhd8ed1ab_1", "build_number": 1, "depends": ["python"],
             "arch": None, "platform": None, "noarch": "python", "subdir": "noarch", "license": "MIT"}  # fmt: skip
    return Package(
        index=index,
        files={
            "site-packages/demo/__init__.py": b"def main(): pass\n",
            "site-packages/demo-2.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 2.0\n",
            "python-scripts/demo-script": b"#!/usr/bin/env python\n",
        },
        hard={"site-packages/demo/same.py": "site-packages/demo/__init__.py"} if hard else {},
        executable=frozenset({"python-scripts/demo-script"}),
        link={"noarch": {"type": "python", "entry_points": ["demo = demo:main"]}, "package_metadata_version": 1},
    )


KINDS: Mapping[str, Callable[..., Package]] = {"native": native, "python": python}

# --- info/


def paths_json(package: Package) -> bytes:
    entries = []
    for path in package.paths():
        followed = path
        while followed in package.links:
            folder = followed.split("/")[:-1]
            for part in package.links[followed].split("/"):
                folder = folder[:-1] if part == ".." else [*folder, part]
            followed = "/".join(folder)
        data = package.content(followed)
        entry: dict[str, object] = {
            "_path": path,
            "path_type": "softlink" if path in package.links else "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        if path in package.placeholders:
            entry |= {"file_mode": package.placeholders[path], "prefix_placeholder": PLACEHOLDER}
        entries.append(entry)
    return json.dumps({"paths": entries, "paths_version": 1}, indent=2, sort_keys=True).encode()


def info_of_2013(package: Package) -> dict[str, bytes]:
    """conda-build 1 and 2: no paths.json."""
    modes = package.placeholders.items()
    return {
        "index.json": json.dumps(package.index, indent=2).encode(),
        "recipe.json": b"{}",
        "files": "".join(f"{path}\n" for path in package.paths()).encode(),
        "has_prefix": "".join(f"{PLACEHOLDER} {mode} {path}\n" for path, mode in modes).encode(),
        "no_link": b"share/demo/empty\n" if "share/demo/empty" in package.files else b"",
        "recipe/meta.yaml": b"package: {name: demo}\n",
        "git": b"",
    } | ({} if package.link is None else {"link.json": json.dumps(package.link).encode()})


def info_of_2017(package: Package) -> dict[str, bytes]:
    """conda-build 3 and later: paths.json, and the older lists beside it."""
    modes = package.placeholders.items()
    return info_of_2013(package) | {
        "paths.json": paths_json(package),
        "about.json": b'{"channels": [], "home": "x", "license": "MIT"}',
        "hash_input.json": b"{}",
        "run_exports.json": b'{"weak": ["demo >=1"]}',
        "has_prefix": "".join(f'"{PLACEHOLDER}" "{mode}" "{path}"\n' for path, mode in modes).encode(),
        "no_link": b"",
        "test/run_test.sh": b"true\n",
    }


def info_of_rattler(package: Package) -> dict[str, bytes]:
    """rattler-build: fewer lists, tests of its own."""
    return {
        "index.json": json.dumps(package.index, indent=2).encode(),
        "about.json": b'{"license":"MIT"}',
        "hash_input.json": b"{}",
        "paths.json": paths_json(package),
        "recipe/recipe.yaml": b"package: {name: demo}\n",
        "recipe/variant_config.yaml": b"{}",
        "tests/tests.yaml": b"[]",
    } | ({} if package.link is None else {"link.json": json.dumps(package.link).encode()})


# --- tars


@dataclass(frozen=True, kw_only=True)
class Tar:
    """How a writer writes a tar. `time`: float times need pax headers. `mode`: of a file; `owner`: uid and name."""

    form: int
    time: float = STAMP
    mode: int = 0o664
    owner: tuple[int, str] = (0, "")
    has_directories: bool = False
    has_hard_links: bool = False
    blocks: int = 20  # per record: tarfile and GNU tar fill up to 10,240 bytes

    def write(self, package: Package | None, metadata: Mapping[str, bytes]) -> bytes:
        """The tar of a package's files (`None`: none), and of files below `info/`."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=self.form) as archive:
            names = [f"info/{name}" for name in metadata] + (package.paths() if package else [])
            if self.has_directories:
                for folder in sorted({name.rpartition("/")[0] for name in names}):
                    archive.addfile(self._member(folder, tarfile.DIRTYPE, 0o775))
            for name, data in metadata.items():
                self._add(archive, f"info/{name}", data, self.mode)
            if package:
                self._add_payload(archive, package)
        data = out.getvalue().rstrip(b"\0")
        data += b"\0" * (-len(data) % 512) + b"\0" * 1024
        return data + b"\0" * (-len(data) % (512 * self.blocks))

    def _add_payload(self, archive: tarfile.TarFile, package: Package) -> None:
        for name in [*package.files, *package.links, *package.hard]:
            if name in package.links:
                member = self._member(name, tarfile.SYMTYPE, 0o777)
                member.linkname = package.links[name]
                archive.addfile(member)
            elif name in package.hard and self.has_hard_links:
                member = self._member(name, tarfile.LNKTYPE, self.mode)
                member.linkname = package.hard[name]
                archive.addfile(member)
            else:
                mode = self.mode | 0o111 if name in package.executable else self.mode
                self._add(archive, name, package.content(name), mode)

    def _add(self, archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
        member = self._member(name, tarfile.REGTYPE, mode)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))

    def _member(self, name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.mtime = kind, mode, self.time
        member.uid = member.gid = self.owner[0]
        member.uname = member.gname = self.owner[1]
        return member


OLD_PYTHON = Tar(form=tarfile.GNU_FORMAT, owner=(1000, "builder"), has_hard_links=True)  # tarfile until 3.7
LIBARCHIVE = Tar(form=tarfile.GNU_FORMAT, owner=(502, ""), blocks=1)
NEW_PYTHON = Tar(form=tarfile.PAX_FORMAT, time=STAMP + 0.25, has_hard_links=True)  # tarfile since 3.8
RUST = Tar(form=tarfile.GNU_FORMAT, mode=0o644, blocks=1)
RUST_FOLDERS = Tar(form=tarfile.GNU_FORMAT, mode=0o644, blocks=1, has_directories=True)
USTAR = Tar(form=tarfile.USTAR_FORMAT, owner=(1000, "me"), has_directories=True)


def bsdtar(package: Package, metadata: Mapping[str, bytes]) -> bytes:
    """As bsdtar on macOS writes it: `./` before every name, folders, and extended attributes in pax headers."""
    attribute = ("SCHILY.xattr.com.apple.provenance", b"\x01\0\0b\xfd\x1eM")
    parts = [pax(attribute), tar_header("./", kind=b"5", mode=0o755)]
    contents = {f"info/{name}": data for name, data in metadata.items()} | dict(package.files)
    contents |= {name: package.content(name) for name in package.hard}
    for name, data in contents.items():
        mode = 0o755 if name in package.executable else 0o644
        is_long = len(name.encode()) > 95 or not name.isascii()
        parts.append(pax(attribute, *([("path", f"./{name}")] if is_long else []), ("mtime", "1700000000.5")))
        parts.append(tar_file(f"./{name}".encode("ascii", "replace")[:100], data, mode=mode))
    parts += [tar_header(f"./{name}", kind=b"2", link=target) for name, target in package.links.items()]
    return tar_of(*parts)


# --- zips


def zip_of_members(members: Sequence[tuple[str, bytes]], **fields: object) -> bytes:
    return Zip(entries=[Entry(name=name, data=data, method=0, **fields) for name, data in members]).build()  # type: ignore[arg-type]


def large(members: Sequence[tuple[str, bytes]], *, zeros: bool) -> bytes:
    """Sizes in a zip64 field of each local header; `zeros`: and one of zeros in the directory."""
    entries = [
        Entry(
            name=name,
            data=data,
            method=0,
            local={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
            local_extra=zip64_extra(len(data), len(data)),
            central_extra=zip64_extra(0, 0) if zeros else b"",
        )
        for name, data in members
    ]
    return Zip(entries=entries).build()


def conda(
    package: Package,
    metadata: Mapping[str, bytes],
    tars: tuple[Tar, Tar],
    *,
    order: str = "mpi",
    document: bytes = DOCUMENT,
    in_package: Sequence[str] = (),
    level: int = 3,
    build: Callable[[Sequence[tuple[str, bytes]]], bytes] = zip_of_members,
) -> bytes:
    """A `.conda`. `tars`: of info, of the package; `order`: of members; `in_package`: info in the package tar."""
    info = {name: data for name, data in metadata.items() if name not in in_package}
    stray = {name: metadata[name] for name in in_package}
    members = {
        "m": ("metadata.json", document),
        "i": (f"info-{package.stem}.tar.zst", zstd(tars[0].write(None, info), level)),
        "p": (f"pkg-{package.stem}.tar.zst", zstd(tars[1].write(package, stray), level)),
    }
    return build([members[letter] for letter in order])


LICENCES = {"licenses/LICENSE": b"text\n", "licenses/third/COPYING": b"text\n"}


def cph2(package: Package, **options: object) -> bytes:
    """conda-package-handling 2: Python's zipfile and tarfile."""
    metadata = info_of_2017(package) | LICENCES
    return conda(package, metadata, (NEW_PYTHON, NEW_PYTHON), level=19, **options)  # type: ignore[arg-type]


def rattler(package: Package, **options: object) -> bytes:
    metadata = info_of_rattler(package) | LICENCES
    return conda(package, metadata, (RUST_FOLDERS, RUST), document=COMPACT, **options)  # type: ignore[arg-type]


WRITERS: Mapping[str, tuple[str, Callable[[Package], bytes]]] = {
    "conda-build 2, 2016": (".tar.bz2", lambda made: bz2.compress(OLD_PYTHON.write(made, info_of_2013(made)))),
    "conda-build 3, 2017": (".tar.bz2", lambda made: bz2.compress(OLD_PYTHON.write(made, info_of_2017(made)))),
    "conda-build 3.18, libarchive, 2019": (
        ".tar.bz2",
        lambda made: bz2.compress(LIBARCHIVE.write(made, info_of_2017(made))),
    ),
    "conda-build 24, 2024": (
        ".tar.bz2",
        lambda made: bz2.compress(NEW_PYTHON.write(made, info_of_2017(made) | LICENCES)),
    ),
    "rattler-build": (".tar.bz2", lambda made: bz2.compress(RUST_FOLDERS.write(made, info_of_rattler(made)))),
    "tar, by hand": (".tar.bz2", lambda made: bz2.compress(USTAR.write(made, info_of_2017(made)))),
    "bsdtar on macOS, by hand": (".tar.bz2", lambda made: bz2.compress(bsdtar(made, info_of_2017(made)))),
    "conda-package-handling 1.3, 2019": (
        ".conda",
        lambda made: conda(made, info_of_2017(made), (LIBARCHIVE, LIBARCHIVE), order="ipm"),
    ),
    "conda-package-handling 1.7, 2021": (
        ".conda",
        lambda made: conda(made, info_of_2017(made), (LIBARCHIVE, LIBARCHIVE), order="mip"),
    ),
    # Until February 2022 (conda-package-handling #88).
    "conda-package-handling 1.7, empty metadata.json": (
        ".conda",
        lambda made: conda(made, info_of_2017(made), (LIBARCHIVE, LIBARCHIVE), order="mip", document=b""),
    ),
    "conda-package-handling 2.0, 2022": (".conda", lambda made: cph2(made, in_package=list(LICENCES))),
    "conda-package-handling 2.3, 2024": (
        ".conda",
        lambda made: cph2(made, in_package=list(LICENCES), build=lambda members: large(members, zeros=False)),
    ),
    "conda-package-handling 2.5, 2026": (
        ".conda",
        lambda made: cph2(made, build=lambda members: large(members, zeros=False)),
    ),
    "rattler-build 0.1, 2023": (".conda", rattler),
    "rattler-build 0.21 to 0.28, 2024": (
        ".conda",
        lambda made: rattler(made, build=lambda members: large(members, zeros=True)),
    ),
    "rattler-build 0.29 and later": (
        ".conda",
        lambda made: rattler(made, build=lambda members: large(members, zeros=False)),
    ),
}
