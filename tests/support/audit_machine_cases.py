"""Damaged environments of `test_audit.py`, as data: binaries, scripts, caches."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from tests.support.audit_cases import NP, NUMPY, Case, do, numpy
from tests.support.binaries import elf, macho, pe
from tests.support.builders import record_hash
from tests.support.prefixes import SITE, PrefixBuilder, digest

NUMPY_1 = b"\0numpy.core._multiarray_umath\0"
NUMPY_2 = b"\0numpy._core._multiarray_umath\0numpy.core._multiarray_umath\0"
SAYS = b"\0module was compiled against NumPy C-API version 0x%x (NumPy 2.1) but the running NumPy has 0x%x\0"
FAST = f"{SITE}/fast/_x.cpython-312-x86_64-linux-gnu.so"
X = "wheel:fast-1"


def fast(content: bytes, path: str = FAST, **parts: object) -> Case:
    """A wheel with one extension module."""
    return Case("", lambda made: made.wheel("fast", "1", {path: content}, **parts))


def extension(name: str, content: bytes, *found: tuple[str, str], path: str = FAST, **parts: object) -> Case:
    expected = tuple((kind, level, path, X, None) for kind, level in found)
    return Case(name, fast(content, path, **parts).build, expected)


def with_numpy(version: str, content: bytes) -> Case:
    build = do(
        lambda made: made.wheel("numpy", version, {}),
        lambda made: made.wheel("fast", "1", {FAST: content}, requires=["numpy"]),
    )
    return Case(
        f"an extension and numpy {version}", build, (("numpy-abi", "error", FAST, X, f"wheel:numpy-{version}"),)
    )


_OF_GNU = f"{SITE}/fast.libs/libgomp-a34b3233.so.1.0.0"
_OWN_OPENMP = {
    FAST: elf(needed=["libgomp-a34b3233.so.1.0.0"], search="$ORIGIN/../fast.libs"),
    _OF_GNU: elf(soname="libgomp-a34b3233.so.1.0.0"),
}


_OF_WHEEL = f"{SITE}/fast.libs/libstdc++-0123abcd.so.6.0.25"
NEW = {"libstdc++-0123abcd.so.6.0.25": ["GLIBCXX_3.4", "GLIBCXX_3.4.32"], "libm.so.6": ["GLIBC_2.17"]}


def own_compiler(*defined: str) -> dict[str, bytes]:
    """An extension that needs GLIBCXX_3.4.32, and the libstdc++ that its wheel brings."""
    library = elf(soname="libstdc++-0123abcd.so.6.0.25", defines=defined)
    extension = elf(needed=["libstdc++-0123abcd.so.6.0.25"], search="$ORIGIN/../fast.libs", versions=NEW)
    return {FAST: extension, _OF_WHEEL: library}


def compiled(*defined: str) -> Callable[[PrefixBuilder], None]:
    """An extension that needs GLIBCXX_3.4.32, and conda's libstdc++."""

    def build(made: PrefixBuilder) -> None:
        library = elf(soname="libstdc++.so.6", defines=defined)
        links = {"lib/libstdc++.so.6": "libstdc++.so.6.0.30"}
        made.conda("libstdcxx", "12", {"lib/libstdc++.so.6.0.30": library}, links=links)
        extension = elf(needed=["libstdc++.so.6"], versions={"libstdc++.so.6": ["GLIBCXX_3.4.32"]})
        made.wheel("fast", "1", {FAST: extension})

    return build


def _two_of_gnu(made: PrefixBuilder) -> None:
    """scikit-learn's wheel in an environment of conda-forge, where numba's wheel loads conda's runtime."""
    made.conda("libgomp", "14", {"lib/libgomp.so.1": elf(soname="libgomp.so.1")})
    pool = f"{SITE}/pool/_p.cpython-312-x86_64-linux-gnu.so"
    made.wheel("pool", "1", {pool: elf(needed=["libgomp.so.1"])})
    made.wheel("fast", "1", _OWN_OPENMP)


def _two_openmp(made: PrefixBuilder) -> None:
    made.conda("llvm-openmp", "18", {"lib/libomp.so": elf(soname="libomp.so")})
    made.conda_python(
        "solver", "1", files={f"{SITE}/solver/_s.abi3.so": elf(needed=["libomp.so"], search="$ORIGIN/../../../..")}
    )
    made.wheel("fast", "1", _OWN_OPENMP)


def _two_blas(made: PrefixBuilder) -> None:
    for name, digits in (("a", "11111111"), ("b", "22222222")):
        library = f"libscipy_openblas64_-{digits}.so"
        made.wheel(
            name,
            "1",
            {
                f"{SITE}/{name}/_x.abi3.so": elf(needed=[library], search=f"$ORIGIN/../{name}.libs"),
                f"{SITE}/{name}.libs/{library}": elf(soname=library),
            },
        )


NATIVE = [
    extension("a sound extension", elf(needed=["libc.so.6"], glibc="2.17", search="$ORIGIN/../fast.libs")),
    extension("an extension of abi3", elf(), path=f"{SITE}/fast/_x.abi3.so"),
    extension("data of other systems", pe(), path=f"{SITE}/fast/launcher.exe"),
    extension("libraries of other systems, carried as data", macho(), path=f"{SITE}/fast/libattach.dylib"),
    extension("a truncated library", elf(needed=["libc.so.6"])[:70], ("broken-binary", "error")),
    extension("for another processor", elf(machine="aarch64"), ("foreign-binary", "error")),
    extension("for macOS", macho(needed=["/usr/lib/libSystem.B.dylib"]), ("foreign-binary", "error")),
    extension("for Windows", pe(), ("foreign-binary", "error")),
    extension("linked with musl", elf(needed=["libc.musl-x86_64.so.1"]), ("foreign-binary", "error")),
    extension("needs a newer glibc", elf(glibc="2.38"), ("glibc-too-old", "error")),
    extension("of very many symbols", elf(needed=["libc.so.6"], glibc="2.17", symbols=3 << 20)),
    extension(
        "of very many symbols, needs a newer glibc", elf(glibc="2.38", symbols=3 << 20), ("glibc-too-old", "error")
    ),
    extension(
        "for another python", elf(), ("extension-tag", "error"), path=f"{SITE}/fast/_x.cpython-311-x86_64-linux-gnu.so"
    ),
    extension(
        "for a free-threaded python",
        elf(),
        ("extension-tag", "error"),
        path=f"{SITE}/fast/_x.cpython-312t-x86_64-linux-gnu.so",
    ),
    Case(
        "for several pythons, this one among them",
        lambda made: made.wheel("fast", "1", {FAST: elf(), FAST.replace("312", "311"): elf()}),
    ),
    extension("a library that is nowhere", elf(needed=["libnowhere.so.7"]), ("missing-library", "warning")),
    extension(
        "a search path of the machine it was built on",
        elf(search="/home/builder/lib:$ORIGIN"),
        ("outside-rpath", "info"),
    ),
    extension("a search path that leaves, and is there", elf(search="/usr/lib"), ("outside-rpath", "warning")),
    with_numpy("2.1.3", elf(payload=NUMPY_1)),
    with_numpy("1.26.4", elf(payload=NUMPY_2 + SAYS)),
    Case(
        "extensions that were built for what is there",
        do(
            lambda made: made.wheel("numpy", "2.1.3", {}),
            lambda made: made.wheel("fast", "1", {FAST: elf(payload=NUMPY_2 + SAYS)}, requires=["numpy"]),
        ),
    ),
    Case(
        "a wheel with an older libstdc++ than its extension needs",
        lambda made: made.wheel("fast", "1", own_compiler("GLIBCXX_3.4", "GLIBCXX_3.4.25")),
        (("library-too-old", "error", FAST, X, X),),
    ),
    Case(
        "a wheel with the libstdc++ that its extension needs",
        lambda made: made.wheel("fast", "1", own_compiler("GLIBCXX_3.4", "GLIBCXX_3.4.32")),
    ),
    Case("a libstdc++ that says nothing of versions", lambda made: made.wheel("fast", "1", own_compiler())),
    Case(
        "an older libstdc++ of conda's than an extension needs",
        compiled("GLIBCXX_3.4.30"),
        (("library-too-old", "error", FAST, X, "conda:libstdcxx-12-0"),),
    ),
    Case("the libstdc++ of conda's that an extension needs", compiled("GLIBCXX_3.4.30", "GLIBCXX_3.4.32")),
    Case(
        "OpenMP of conda's and of a wheel's",
        _two_openmp,
        (("duplicate-library", "warning", _OF_GNU, X, "conda:llvm-openmp-18-0"),),
    ),
    Case(
        "GNU's OpenMP of conda's and of a wheel's",
        _two_of_gnu,
        (("duplicate-library", "info", _OF_GNU, X, "conda:libgomp-14-0"),),
    ),
    Case(
        "two wheels that carry their own OpenBLAS, as they are built to",
        _two_blas,
        (
            (
                "duplicate-library",
                "info",
                f"{SITE}/b.libs/libscipy_openblas64_-22222222.so",
                "wheel:b-1",
                "wheel:a-1",
            ),
        ),
    ),
]


RELOCATABLE = """/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' ''' """


def script(name: str, first: str, *, mode: int = 0o755) -> Case:
    def build(made: PrefixBuilder) -> None:
        text = f"#!{first}\nprint()\n".replace("ENV", str(made.root)).encode()
        made.wheel("tool", "1", {"bin/tool": text})
        (made.root / "bin/tool").chmod(mode)

    return Case(name, build)


def broken(case: Case, name: str, level: str = "error") -> Case:
    return Case(case.name, case.build, ((name, level, "bin/tool", "wheel:tool-1", None),))


def virtual(home: str, python: str, library: str = "python3.12") -> Case:
    """A virtual environment, as `venv` makes it."""

    def build(made: PrefixBuilder) -> None:
        for path in [*made.root.rglob("*")][::-1]:
            path.unlink() if path.is_symlink() or path.is_file() else path.rmdir()
        made.write("pyvenv.cfg", f"home = {home}\nversion = 3.12.4\n".encode())
        made.write(f"lib/{library}/site-packages/.keep", b"")
        (made.root / "bin").mkdir()
        (made.root / "bin/python").symlink_to(python)

    return Case("", build)


def linked_softly(made: PrefixBuilder) -> None:
    """As uv and conda can do it: the file lies in a cache, and a link to it here."""
    cached = made.root.parent / "cached.py"
    (made.root / NP).rename(cached)
    (made.root / NP).symlink_to(cached)


PROGRAMS = [
    script("a script of this python's", "ENV/bin/python3.12"),
    script("a script of the system's shell", "/bin/sh"),
    script("a relocatable script", RELOCATABLE),
    script("a script of whoever is first on PATH", "/usr/bin/env python3"),
    broken(script("a script of a python that is gone", "/nowhere/bin/python3.12"), "foreign-shebang"),
    broken(script("a script of a python of the environment, which is gone", "ENV/bin/python3.9"), "foreign-shebang"),
    broken(script("a script that was never installed", "python"), "foreign-shebang"),
    broken(
        script("a long path, through the shell", "/bin/sh\n'''exec' /nowhere/bin/python \"$0\" \"$@\"\n' '''"),
        "foreign-shebang",
    ),
    broken(script("a script that nobody may run", "/bin/sh", mode=0o644), "not-executable", "warning"),
    broken(script("a script that everybody may change", "/bin/sh", mode=0o757), "world-writable", "warning"),
    Case(
        "a virtual environment whose python is gone",
        virtual("/nowhere/bin", "/nowhere/bin/python3.12").build,
        (
            ("broken-interpreter", "error", "bin/python", None, None),
            ("broken-interpreter", "error", "pyvenv.cfg", None, None),
        ),
    ),
    Case(
        "a link of a package's that leaves the environment",
        lambda made: made.conda("a", "1", {}, links={"lib/a.txt": "/etc/hostname"}),
        (("outside-link", "warning", "lib/a.txt", "conda:a-1-0", None),),
    ),
    Case(
        "a file that was linked softly out of a cache",
        do(numpy, linked_softly),
        (("outside-link", "info", NP, NUMPY, None),),
    ),
    Case(
        "a link that leads elsewhere than it was packed to",
        do(
            lambda made: made.conda(
                "a",
                "1",
                {"lib/a.so.1": b"one", "lib/a.so.2": b"two"},
                links={"lib/a.so": "a.so.2"},
                link_hashes={"lib/a.so": digest(b"one")},
            ),
        ),
        (("modified-file", "error", "lib/a.so", "conda:a-1-0", None),),
    ),
    Case(
        "letters that are composed in two ways",
        lambda made: made.wheel("a", "1", {f"{SITE}/caf\u00e9.txt": b"1", f"{SITE}/cafe\u0301.txt": b"2"}),
        (("unicode-collision", "warning", f"{SITE}/cafe\u0301.txt", "wheel:a-1", "wheel:a-1"),),
    ),
]


def cached_conda(made: PrefixBuilder) -> None:
    """A package cache that has numpy 2, whose file lies over that of numpy 1."""
    numpy(made)
    made.write(NP, b"of numpy 2")
    folder = made.root.parent / "pkgs/numpy-2.1.3-1"
    (folder / "info").mkdir(parents=True)
    (folder / "info/index.json").write_text(json.dumps({"name": "numpy", "version": "2.1.3", "build": "1"}))
    paths = {"paths": [{"_path": "site-packages/numpy/__init__.py", "sha256": digest(b"of numpy 2")}]}
    (folder / "info/paths.json").write_text(json.dumps(paths))


def hard_link(made: PrefixBuilder) -> None:
    numpy(made)
    folder = made.root.parent / "pkgs/numpy-1.26.4-0"
    (folder / "info").mkdir(parents=True)
    (folder / "info/paths.json").write_text("{}")
    (folder / NP).parent.mkdir(parents=True)
    os.link(made.root / NP, folder / NP)
    (folder / NP).write_bytes(b"edited")


def uv_cache(made: PrefixBuilder) -> None:
    made.distribution("rich", "13.0", {f"{SITE}/rich/a.py": b"13"})
    made.write(f"{SITE}/rich/a.py", b"14")
    info = made.root.parent / "uv/archive-v0/xyz/rich-14.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text(f"rich/a.py,{record_hash(b'14')},2\n")


def linked_by_uv(made: PrefixBuilder) -> None:
    uv_cache(made)
    cached = made.root.parent / "uv/archive-v0/xyz/rich/a.py"
    cached.parent.mkdir()
    os.link(made.root / SITE / "rich/a.py", cached)


CACHES = [
    Case(
        "bytes that only conda's cache knows",
        cached_conda,
        (("clobbered-file", "error", NP, NUMPY, "conda:numpy-2.1.3-1"),),
        environ=lambda folder: {"CONDA_PKGS_DIRS": str(folder / "pkgs")},
    ),
    Case(
        "bytes that only uv's cache knows",
        uv_cache,
        (
            ("clobbered-file", "error", f"{SITE}/rich/a.py", "pip:rich-13.0", "wheel:rich-14.0"),
            ("unmanaged-distribution", "info", f"{SITE}/rich-13.0.dist-info", "pip:rich-13.0", None),
        ),
        environ=lambda folder: {"UV_CACHE_DIR": str(folder / "uv")},
    ),
    Case(
        "a file that uv put there as a link to its cache",
        linked_by_uv,
        (
            ("clobbered-file", "error", f"{SITE}/rich/a.py", "pip:rich-13.0", "wheel:rich-14.0"),
            ("unmanaged-distribution", "info", f"{SITE}/rich-13.0.dist-info", "pip:rich-13.0", None),
        ),
        environ=lambda folder: {"UV_CACHE_DIR": str(folder / "uv")},
    ),
    Case(
        "a file that was edited through the cache it is linked to",
        hard_link,
        (
            ("modified-file", "error", NP, NUMPY, None),
            ("edited-through-link", "error", NP, NUMPY, None),
        ),
        environ=lambda folder: {"CONDA_PKGS_DIRS": str(folder / "pkgs")},
    ),
]
