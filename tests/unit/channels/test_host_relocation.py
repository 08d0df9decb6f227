"""What of an interpreter is packed, and how its texts and binaries forget where they lay."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.channels.host import Interpreter, macho
from bridge.channels.host.contents import PackagePath, collect, is_packed
from bridge.channels.host.elf import inspect
from bridge.channels.host.layout import not_packable
from bridge.channels.host.relocate import PLACEHOLDER, PrefixRewriter, Relocation, is_generated
from bridge.errors import UsageError
from tests.support.installations import small_installation


@pytest.fixture
def small(tmp_path: Path) -> Interpreter:
    """An installation of a few files."""
    return small_installation(tmp_path)


@pytest.mark.parametrize(
    ("path", "packed"),
    [
        ("os.py", True),
        ("json/decoder.py", True),
        ("ensurepip/_bundled/pip-24.0-py3-none-any.whl", True),
        ("unittest/case.py", True),
        ("lib-dynload/_ssl.cpython-312-x86_64-linux-gnu.so", True),
        ("config-3.12-x86_64-linux-gnu/Makefile", True),
        ("config-3.12-x86_64-linux-gnu/libpython3.12.a", False),
        ("lib-dynload/_testcapi.cpython-312-x86_64-linux-gnu.so", False),
        ("lib-dynload/_ctypes_test.cpython-312-x86_64-linux-gnu.so", False),
        ("test/support/__init__.py", False),
        ("distutils/tests/test_core.py", False),
        ("idlelib/idle_test/test_text.py", False),
        ("__pycache__/os.cpython-312.pyc", False),
        ("os.pyc", False),
        ("site-packages/pip/__init__.py", False),
        ("dist-packages/apt/__init__.py", False),
        ("EXTERNALLY-MANAGED", False),
        ("sitecustomize.py", False),
        ("_distutils_system_mod.py", False),
    ],
)
def test_is_packed(path: str, packed: bool) -> None:
    assert is_packed(path) == packed


@pytest.mark.parametrize(
    ("path", "generated"),
    [
        ("lib/python3.12/_sysconfigdata__linux_x86_64-linux-gnu.py", True),
        ("lib/python3.14/_sysconfig_vars__linux_x86_64-linux-gnu.json", True),
        ("lib/python3.14/build-details.json", True),
        ("lib/python3.12/config-3.12-x86_64-linux-gnu/Makefile", True),
        ("lib/pkgconfig/python-3.12.pc", True),
        ("bin/python3.12-config", True),
        ("lib/python3.12/zoneinfo/_tzpath.py", False),
        ("lib/python3.12/sysconfig.py", False),
    ],
)
def test_is_generated(path: str, generated: bool) -> None:
    assert is_generated(path) == generated


def spelling(small: Interpreter, prefix: str, configured: str | None = None, multiarch: str = "") -> PrefixRewriter:
    known = ["bin/python3.12", "lib/python3.12/os.py", "include/python3.12/Python.h", "lib/pkgconfig/python3.pc"]
    return PrefixRewriter(dataclasses.replace(small, prefix=Path(prefix), multiarch=multiarch), known, configured)


P = PLACEHOLDER
REWRITTEN = [
    # An installation of its own: every path below it.
    ("/opt/py", "", "prefix=/opt/py", f"prefix={P}"),
    ("/opt/py", "", "'-L/opt/py/lib -Wl,-rpath,/opt/py/lib'", f"'-L{P}/lib -Wl,-rpath,{P}/lib'"),
    ("/opt/py", "", "-I/opt/py/include/x", f"-I{P}/include/x"),
    ("/opt/py", "", "#!/opt/py/bin/python3.12", f"#!{P}/bin/python3.12"),
    ("/opt/py", "", "'./opt/py/lib/python3.12/os.py'", f"'.{P}/lib/python3.12/os.py'"),
    ("/opt/py", "", "/opt/py-other/lib /opt/py.d /home/opt/py x/opt/py", None),
    # A prefix shared with others: what the package has, and nothing else.
    ("/usr", "", "BINDIR=/usr/bin", f"BINDIR={P}/bin"),
    ("/usr", "", "/usr/bin/install -c /usr/share/zoneinfo -I/usr/include/tirpc", None),
    ("/usr", "", "/usr/lib/python3.12/ /usr/include/python3.12", f"{P}/lib/python3.12/ {P}/include/python3.12"),
    ("/usr", "a-b", "LIBDIR=/usr/lib/a-b LIBPC=/usr/lib/a-b/pkgconfig", f"LIBDIR={P}/lib LIBPC={P}/lib/pkgconfig"),
    ("/usr", "", "prefix='/usr'", f"prefix='{P}'"),
    ("/usr/local", "", "-Wl,-rpath=/usr/local/lib:/usr/local/cuda", f"-Wl,-rpath={P}/lib:/usr/local/cuda"),
]


@pytest.mark.parametrize(("prefix", "multiarch", "text", "written"), REWRITTEN)
def test_rewriting_texts(small: Interpreter, prefix: str, multiarch: str, text: str, written: str | None) -> None:
    found = spelling(small, prefix, multiarch=multiarch).rewrite(text.encode()).decode()
    assert found == (text if written is None else written)


def test_the_configured_prefix_counts_too(small: Interpreter) -> None:
    text = b"LIBDIR = /install/lib, INSTALL = /usr/bin/install -c, at /opt/py/bin"
    assert spelling(small, "/opt/py", "/install").rewrite(text) == (
        f"LIBDIR = {P}/lib, INSTALL = /usr/bin/install -c, at {P}/bin".encode()
    )


LAYOUT = Interpreter(
    version="3.12.4",
    minor=(3, 12),
    free_threaded=False,
    subdir="linux-64",
    prefix=Path("/opt/py"),
    binary=Path("/opt/py/bin/python3.12"),
    stdlib=Path("/opt/py/lib/python3.12"),
    include=None,
    pyconfig=None,
    libraries=(),
    multiarch="",
    deployment_target="",
)
SEGMENT = st.text("abcxyz09_-+", min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", " ", ":", "'", "=", " -L", ","]), st.lists(SEGMENT, max_size=3))))
def test_text_files_that_contain_the_old_prefix_get_a_placeholder(found: list[tuple[str, list[str]]]) -> None:
    """MUST: "text files that contain the old prefix get a prefix placeholder": each of its paths, nothing else."""
    paths = ["".join(f"/{segment}" for segment in segments) for _, segments in found]
    old = "".join(f"{before or ' '}/opt/py{path}" for (before, _), path in zip(found, paths, strict=True))
    new = "".join(f"{before or ' '}{PLACEHOLDER}{path}" for (before, _), path in zip(found, paths, strict=True))
    assert PrefixRewriter(LAYOUT, [], None).rewrite(old.encode()).decode() == new
    assert PrefixRewriter(LAYOUT, [], None).rewrite(new.encode()).decode() == new


def mach_o(*texts: str) -> bytes:
    commands = b"\0".join(text.encode() for text in texts) + b"\0"
    return b"\xcf\xfa\xed\xfe" + struct.pack("<IIIIIII", 0, 0, 2, 1, len(commands), 0, 0) + commands + b"/opt/py/data"


def test_mach_o_paths(tmp_path: Path) -> None:
    thin = mach_o("/usr/lib/libSystem.B.dylib", "/opt/py/lib/libpython3.12.dylib")
    fat = struct.pack(">II", 0xCAFEBABE, 1) + struct.pack(">IIIII", 0, 0, 28, len(thin), 0) + thin
    texts = (thin, fat, mach_o("@rpath/libpython3.12.dylib"), b"#!/opt/py/bin/python", fat[:9], thin[:20], b"")
    found = []
    for data in texts:
        (tmp_path / "binary").write_bytes(data)
        found.append(sorted(macho.paths_below(tmp_path / "binary", ["/opt/py"])))
    assert found == [["/opt/py/lib/libpython3.12.dylib"]] * 2 + [[]] * 5


@pytest.fixture
def compiled(small: Interpreter) -> Callable[..., Interpreter]:
    """A function that compiles a program and its libpython into the small installation, with linker flags."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler on Linux")

    def build(flags: Sequence[str], *, symbol: str = "answer", library_flags: Sequence[str] = ()) -> Interpreter:
        source = small.prefix / "source.c"
        library = small.prefix / "lib" / "libpython3.12.so.1.0"
        source.write_text(f"int {symbol}(void) {{ return 42; }}")
        shared = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), f"-Wl,-soname,{library.name}"]
        subprocess.run([*shared, *library_flags], check=True)
        source.write_text(f"int {symbol}(void); int main(void) {{ return {symbol}(); }}")
        linked = [flag.format(lib=library.parent) for flag in flags]
        subprocess.run([compiler, "-o", str(small.binary), str(source), str(library), *linked], check=True)
        return dataclasses.replace(small, libraries=(library,))

    return build


def write_parts(parts: Iterable[PackagePath], target: Path) -> None:
    """Write files and links as they would be linked from the package."""
    for part in parts:
        path = target / part.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if part.link is not None:
            path.symlink_to(part.link)
            continue
        data = bytearray(part.source.read_bytes() if part.data is None and part.source else part.data or b"")
        for offset, new in part.patches:
            data[offset : offset + len(new)] = new
        path.write_bytes(data)
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("flags", "search"),
    [
        (["-Wl,-rpath,{lib}"], "$ORIGIN/../lib"),
        (["-Wl,-rpath,{lib}", "-Wl,--disable-new-dtags"], "$ORIGIN/../lib"),
        (["-Wl,-rpath,/usr/lib/elsewhere:{lib}"], "/usr/lib/elsewhere:$ORIGIN/../lib"),
        (["-Wl,-rpath,$ORIGIN/../lib"], "$ORIGIN/../lib"),
        (["-Wl,-rpath,${{ORIGIN}}/../lib"], "${ORIGIN}/../lib"),
    ],
)
def test_the_moved_binary_runs_with_the_moved_library(
    compiled: Callable[..., Interpreter], tmp_path: Path, flags: list[str], search: str
) -> None:
    layout = compiled(flags)
    relocation = Relocation(layout, collect(layout))
    assert relocation.glibc >= (2, 2)
    write_parts(relocation.parts(), tmp_path / "moved")
    shutil.rmtree(layout.prefix)
    binary = tmp_path / "moved" / "bin" / "python"
    assert subprocess.run([binary], check=False).returncode == 42
    found = inspect(binary)
    assert found is not None
    assert [text.value for text in found.search] == [search]


def test_a_library_of_the_installation_comes_along(compiled: Callable[..., Interpreter], tmp_path: Path) -> None:
    folder = tmp_path / "opt" / "python" / "openssl" / "lib"
    folder.mkdir(parents=True)
    (folder / "ssl.c").write_text("int ssl(void) { return 1; }")
    library = folder / "libssl.so.3"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "ssl.c", "-Wl,-soname,libssl.so.3"], check=True)
    layout = compiled(["-Wl,-rpath,{lib}"], library_flags=["-Wl,--no-as-needed", str(library), f"-Wl,-rpath,{folder}"])
    write_parts(Relocation(layout, collect(layout)).parts(), tmp_path / "moved")
    shutil.rmtree(layout.prefix)
    assert (tmp_path / "moved" / "openssl" / "lib" / "libssl.so.3").is_file()
    assert subprocess.run([tmp_path / "moved" / "bin" / "python3.12"], check=False).returncode == 42


@pytest.mark.parametrize(
    ("flags", "symbol", "is_behind_a_link", "reason"),
    [
        ([], "answer", False, "the system's loader decides"),
        # The linker stores a symbol's name `lib` in the tail of the search path.
        (["-Wl,-rpath,{lib}"], "lib", False, "cannot be made relative in place"),
        # What $ORIGIN means for a libpython behind a link needs more room than it has.
        (["-Wl,-rpath,{lib}"], "answer", True, "cannot be made relative in place"),
    ],
)
def test_search_paths_that_cannot_be_moved_are_refused(
    compiled: Callable[..., Interpreter], flags: list[str], symbol: str, is_behind_a_link: bool, reason: str
) -> None:
    library_flags = ["-Wl,-rpath,$ORIGIN"] if is_behind_a_link else []
    layout = compiled(flags, symbol=symbol, library_flags=library_flags)
    if is_behind_a_link:
        (library,) = layout.libraries
        (library.parent / "real").mkdir()
        library.rename(library.parent / "real" / library.name)
        library.symlink_to(f"real/{library.name}")
    with pytest.raises(UsageError) as caught:
        Relocation(layout, collect(layout)).parts()
    assert caught.value.id == "host-layout"
    assert reason in caught.value.message


def test_debian_s_site_is_undone_where_it_is_frozen_too(small: Interpreter) -> None:
    (small.stdlib / "site.py").write_text("def getsitepackages(): return ['lib/dist-packages']")
    with pytest.raises(UsageError, match="frozen into the binary was not found"):
        Relocation(small, collect(small)).parts()
    small.binary.write_bytes(b"#!/bin/sh\n# dist-packages\n")
    parts = {part.path: part for part in Relocation(small, collect(small)).parts()}
    assert parts["bin/python3.12"].patches == ((12, b"site-packages"),)
    assert b"dist-packages" not in (parts["lib/python3.12/site.py"].data or b"")


def test_a_damaged_binary_is_refused(small: Interpreter) -> None:
    small.binary.write_bytes(b"\x7fELF and nothing else")
    with pytest.raises(UsageError) as caught:
        Relocation(small, collect(small)).parts()
    assert "cannot be read" in caught.value.message


@pytest.mark.parametrize(
    ("owner", "attribute", "value", "reason"),
    [
        (sys, "implementation", types.SimpleNamespace(name="pypy"), "it is pypy"),
        (os, "name", "nt", "packs only on Linux and macOS"),
        (sys, "frozen", True, "frozen application"),
        (sys, "abiflags", "d", "debug build"),
        (sys, "_framework", "Python", "framework"),
        (sys, "platlibdir", "lib64", "'lib64'"),
        (sys, "base_prefix", "/", "root directory"),
        (sysconfig, "is_python_build", lambda: True, "build directory"),
        (platform, "machine", lambda: "sparc64", "no platform for"),
        (sysconfig, "get_path", lambda *_: "/nowhere/python312.zip", "not a directory of modules"),
        (sys, "base_prefix", "/nowhere", "not where a conda package has it"),
    ],
)
def test_what_cannot_be_packed_says_so(
    monkeypatch: pytest.MonkeyPatch, owner: object, attribute: str, value: object, reason: str
) -> None:
    with monkeypatch.context() as patch:  # `os.name` must be right again before pytest goes on
        patch.setattr(owner, attribute, value, raising=False)
        with pytest.raises(UsageError) as caught:
            Interpreter.of_running()
    assert caught.value.id == "host-layout"
    assert reason in caught.value.message
    assert caught.value.hint is not None
    assert "--channel" in caught.value.hint


def test_the_error_names_the_interpreter() -> None:
    error = not_packable("of a reason", context=("more",))
    assert error.context == (f"interpreter: {sys.executable}", f"installation: {sys.base_prefix}", "more")
    assert error.exit_code == 2


def elf_files() -> list[Path]:
    """The running interpreter's own, and what it has loaded."""
    maps = Path("/proc/self/maps").read_text().split() if os.path.exists("/proc/self/maps") else []
    found = {Path(os.path.realpath(word)) for word in maps if word.startswith("/") and os.path.isfile(word)}
    found |= set(Path(sysconfig.get_path("platstdlib"), "lib-dynload").glob("*.so"))
    return sorted(path for path in found if path.read_bytes()[:4] == b"\x7fELF")[:60]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs ELF files")
def test_elf_is_read_as_pyelftools_reads_it() -> None:
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    for path in elf_files():
        found = inspect(path)
        assert found is not None
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            dynamic = [segment for segment in elf.iter_segments() if isinstance(segment, DynamicSegment)]
            tags = [tag for segment in dynamic for tag in segment.iter_tags()]
            texts = {
                kind: [str(getattr(tag, kind.lower())) for tag in tags if tag.entry.d_tag == f"DT_{kind}"]
                for kind in ("NEEDED", "RPATH", "RUNPATH")
            }
            versions = elf.get_section_by_name(".gnu.version_r")
            assert versions is None or isinstance(versions, GNUVerNeedSection)
            names = [a.name for _, auxiliary in versions.iter_versions() for a in auxiliary] if versions else []
        numbers = [tuple(map(int, name[6:].split(".")[:2])) for name in names if re.match(r"GLIBC_\d", name)]
        assert [text.value for text in found.needed] == texts["NEEDED"], path
        assert [text.value for text in found.search] == texts["RPATH"] + texts["RUNPATH"], path
        if "GLIBC_ABI_DT_RELR" not in names:
            assert found.glibc == max(numbers, default=(0, 0)), path
        data = path.read_bytes()
        for text in (*found.needed, *found.search):
            assert data[text.offset :].startswith(text.value.encode() + b"\0")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs ELF files")
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_damaged_elf_file_is_told_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """MUST: `ValueError` for what cannot be read, and no other way out, whatever the file holds."""
    source = min(elf_files(), key=lambda path: path.stat().st_size)
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.one_of(st.integers(4, 200), st.integers(4, len(content) - 1)))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("elf") / "damaged.so"
    path.write_bytes(bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(4, len(content))))]))
    try:
        inspect(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 - either way out is right
