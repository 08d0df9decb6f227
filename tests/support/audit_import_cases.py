"""Damaged and sound environments of `test_audit.py`, as data: what python imports."""

from __future__ import annotations

import importlib.util
import sys

from tests.support.audit_cases import NP, NUMPY, Build, Case, do, drop, numpy, put
from tests.support.prefixes import SITE, PrefixBuilder

POINTS = f"{SITE}/a-1.dist-info/entry_points.txt"
MODULE = {f"{SITE}/a/__init__.py": b"def main(): pass\n", f"{SITE}/a/cli.py": b"def run(): pass\n"}


def points(text: str, files: dict[str, bytes] | None = None) -> Build:
    """A wheel `a` with these entry points."""
    laid = {**(files or MODULE), POINTS: text.encode()}
    return lambda made: made.wheel("a", "1", laid)


def bytecode(source: bytes, *, is_checked: bool = False) -> bytes:
    """Bytecode with a hash of a source (PEP 552), of the magic number of this python."""
    flags = 3 if is_checked else 1
    return importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little") + importlib.util.source_hash(source)


def unmet(name: str, text: str, level: str = "error", files: dict[str, bytes] | None = None) -> Case:
    return Case(name, points(text, files), (("unmet-import", level, POINTS, "wheel:a-1", None),))


def line(name: str, text: bytes, *found: tuple[str, str]) -> Case:
    """A `.pth` file that no record claims."""
    path = f"{SITE}/z.pth"
    expected = tuple((kind, level, path, None, None) for kind, level in (*found, ("unowned-file", "info")))
    return Case(name, do(numpy, put(path, text)), expected)


CACHE = f"{SITE}/numpy/__pycache__/__init__.cpython-312.pyc"
SOURCE = b"VERSION = '1.26.4'\n"
IS_HASHED_AS_3_12 = sys.version_info >= (3, 11)
STALE = (("stale-bytecode", "error", CACHE, NUMPY, None),) if IS_HASHED_AS_3_12 else ()
LINKED = "share/licence"


def two_records(made: PrefixBuilder) -> None:
    for name in ("a", "b"):
        made.conda(name, "1", {LINKED: b"x"})


EGG = f"{SITE}/eggy-1.5-py3.12.egg"
LISTING = f"{SITE}/easy-install.pth"
PLEN = b"import sys; sys.__plen = len(sys.path)\n./eggy-1.5-py3.12.egg\nimport sys; new=sys.path[sys.__plen:];"
PLEN += b" del sys.path[sys.__plen:]; p=getattr(sys,'__egginsert',0); sys.path[p:p]=new; sys.__egginsert = p+len(new)\n"
OF_PIP = ("unmanaged-distribution", "info", EGG, "unknown:eggy-1.5", None)


def egg(made: PrefixBuilder) -> None:
    made.write(f"{EGG}/EGG-INFO/PKG-INFO", b"Metadata-Version: 2.1\nName: eggy\nVersion: 1.5\n")
    made.write(f"{EGG}/eggy/__init__.py", b"")


EGGS = [
    Case(
        "an egg that setuptools listed before others",
        do(numpy, egg, put(LISTING, PLEN)),
        (OF_PIP, ("pth-runs-code", "info", LISTING, None, None)),
    ),
    Case(
        "an egg that nothing lists",
        do(numpy, egg),
        (("unseen-distribution", "warning", EGG, None, None), ("unowned-file", "info", EGG, None, None)),
    ),
    Case(
        "an egg that nothing lists, of a project that is there",
        do(egg, lambda made: made.wheel("eggy", "2")),
        (("unseen-distribution", "info", EGG, None, None), ("unowned-file", "info", EGG, None, None)),
    ),
    Case(
        "a line for an egg that is gone",
        do(numpy, put(LISTING, b"./eggy-1.5-py3.12.egg\n")),
        (("pth-outside", "warning", LISTING, None, None), ("unowned-file", "info", LISTING, None, None)),
    ),
    Case(
        "a line for an egg that is gone, of a project that is there",
        do(put(LISTING, b"./eggy-1.5-py3.12.egg\n"), lambda made: made.wheel("eggy", "2")),
        (("pth-outside", "info", LISTING, None, None), ("unowned-file", "info", LISTING, None, None)),
    ),
]

IMPORTS = [
    *EGGS,
    Case("entry points that are met", points("[console_scripts]\na = a:main\nb=a.cli:run\n[gui_scripts]\nc = a.cli\n")),
    Case("an entry point with an extra", points("[console_scripts]\na = gone:main [all]\n")),
    Case("an entry point of the standard library", points("[x]\na = json.tool\nb = json:loads.x\n")),
    Case(
        "an entry point in a namespace of two distributions",
        do(
            lambda made: made.wheel("b", "1", {f"{SITE}/ns/b.py": b""}),
            points("[console_scripts]\na = ns.b\n", {f"{SITE}/ns/a.py": b""}),
        ),
    ),
    Case(
        "an entry point in a package that decides what it has",
        points(
            "[console_scripts]\na = a.moves:main\n", {f"{SITE}/a/__init__.py": b"import sys\nsys.modules['x'] = 1\n"}
        ),
    ),
    Case(
        "a name that a star brings",
        points("[console_scripts]\na = a:main\n", {f"{SITE}/a.py": b"from json import *\n"}),
    ),
    Case("an entry point of a compiled module", points("[x]\na = a:main\n", {f"{SITE}/a.abi3.so": b"so"})),
    Case("what is no entry point", points("a = b\n[x]\nnot an entry\n# c = d\ne = egg:what#it\n\xff\n")),
    Case(
        "a missing file is no second finding",
        do(points("[console_scripts]\na = a.cli:run\n"), drop(f"{SITE}/a/cli.py")),
        (("missing-file", "error", f"{SITE}/a/cli.py", "wheel:a-1", None),),
    ),
    unmet("a program of a module that is nowhere", "[console_scripts]\na = gone:main\n"),
    unmet("a program of a module that its package has not", "[console_scripts]\na = a.gone:main\n"),
    unmet("a program of a name that its module has not", "[gui_scripts]\na = a.cli:gone\n"),
    unmet("a plugin of a module that is nowhere", "[pytest11]\na = gone\n", "warning"),
    line("a line whose module is nowhere", b"import gone\n", ("pth-runs-code", "warning"), ("unmet-import", "error")),
    line(
        "what setuptools leaves behind",
        b"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local';"
        b" enabled and __import__('_distutils_hack').add_shim();\n",
        ("pth-runs-code", "warning"),
        ("unmet-import", "error"),
    ),
    *(
        line(f"a line that says {text!r}", text, ("pth-runs-code", "warning"), ("unmet-import", "error"))
        for text in (
            b"\xef\xbb\xbfimport gone\n",
            b"import os; from gone import x\n",
            b"import importlib; importlib.import_module('gone')\n",
        )
    ),
    line("a line whose module is there", b"import sys, numpy; numpy.x\n", ("pth-runs-code", "warning")),
    Case("unchecked bytecode of its source", do(numpy, put(CACHE, bytecode(SOURCE)))),
    Case("bytecode that python compares", do(numpy, put(CACHE, bytecode(b"other", is_checked=True)))),
    Case("unchecked bytecode of another source", do(numpy, put(CACHE, bytecode(b"other"))), STALE),
    Case("unchecked bytecode of another python", do(numpy, put(CACHE.replace("312", "39"), bytecode(b"other")))),
    Case(
        "bytecode in place of a source",
        do(numpy, put(f"{SITE}/numpy/__init__.pyc"), drop(NP)),
        (
            ("missing-file", "error", NP, NUMPY, None),
            ("orphaned-bytecode", "warning", f"{SITE}/numpy/__init__.pyc", NUMPY, None),
            ("unowned-file", "info", f"{SITE}/numpy/__init__.pyc", None, None),
        ),
    ),
    Case(
        "bytecode without a source",
        do(numpy, put(f"{SITE}/numpy/ghost.pyc")),
        (
            ("orphaned-bytecode", "warning", f"{SITE}/numpy/ghost.pyc", None, None),
            ("unowned-file", "info", f"{SITE}/numpy/ghost.pyc", None, None),
        ),
    ),
    Case(
        "bytecode beside its source",
        do(numpy, put(f"{SITE}/numpy/__init__.pyc")),
        (("unowned-file", "info", f"{SITE}/numpy/__init__.pyc", None, None),),
    ),
    Case("a package that is published as bytecode", lambda made: made.wheel("a", "1", {f"{SITE}/a/__init__.pyc": b""})),
    *(
        Case(
            name,
            do(lambda made: made.wheel("a", "1", {f"{SITE}/a.py": b""}), put(path)),
            (
                ("hidden-module", "warning", top, "wheel:a-1", None),
                ("unowned-file", "info", top, None, None),
            ),
        )
        for name, path, top in (
            ("a package beside a module", f"{SITE}/a/__init__.py", f"{SITE}/a"),
            ("a package of bytecode beside a module", f"{SITE}/a/__init__.pyc", f"{SITE}/a"),
            ("an extension beside a module", f"{SITE}/a.abi3.so", f"{SITE}/a.abi3.so"),
        )
    ),
    Case(
        "an extension of another python beside a module",
        do(lambda made: made.wheel("a", "1", {f"{SITE}/a.py": b""}), put(f"{SITE}/a.cpython-38-x86_64-linux-gnu.so")),
        (("unowned-file", "info", f"{SITE}/a.cpython-38-x86_64-linux-gnu.so", None, None),),
    ),
    Case(
        "a folder beside a module",
        do(lambda made: made.wheel("a", "1", {f"{SITE}/a.py": b""}), put(f"{SITE}/a/data")),
        (("unowned-file", "info", f"{SITE}/a", None, None),),
    ),
    Case(
        "one path of two records, with the same bytes",
        two_records,
        (("shared-file", "info", LINKED, "conda:a-1-0", "conda:b-1-0"),),
    ),
]
