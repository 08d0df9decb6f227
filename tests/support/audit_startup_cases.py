"""Damaged environments of `test_audit.py`, as data: what python reads at its start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from tests.support.audit_cases import NP, NUMPY, Case, Expected, do, numpy
from tests.support.prefixes import SITE, PrefixBuilder


def pth(name: str, text: bytes, *found: tuple[str, str], path: str = f"{SITE}/a.pth") -> Case:
    expected = tuple((kind, level, path, "wheel:a-1", None) for kind, level in found)
    return Case(name, lambda made: made.wheel("a", "1", {path: text}), expected)


def editable(made: PrefixBuilder) -> None:
    source = made.root.parent / "gone"
    url = json.dumps({"url": f"file://{source}", "dir_info": {"editable": True}}).encode()
    info = f"{SITE}/mine-1.dist-info"
    made.distribution(
        "mine", "1", {f"{SITE}/__editable__.mine-1.pth": f"{source}\n".encode()}, extra={f"{info}/direct_url.json": url}
    )


def finder(made: PrefixBuilder) -> None:
    """A working copy of one module, as setuptools' finder has it: the path without its ending."""
    source = made.root.parent / "work"
    source.mkdir()
    (source / "mine.py").write_bytes(b"")
    url = json.dumps({"url": f"file://{source}", "dir_info": {"editable": True}}).encode()
    mapping = f"MAPPING: dict[str, str] = {{'mine': '{source}/mine'}}\nNAMESPACES = {{}}\n".encode()
    files = {f"{SITE}/__editable___mine_1_finder.py": mapping}
    made.distribution("mine", "1", files, extra={f"{SITE}/mine-1.dist-info/direct_url.json": url})


def added(name: str, *, mode: int = 0o755) -> Callable[[PrefixBuilder], None]:
    """A directory with a module, which a `.pth` without an owner adds, as `conda develop` does."""

    def build(made: PrefixBuilder) -> None:
        directory = made.root.parent / name
        (directory / "mine").mkdir(parents=True)
        (directory / "mine/__init__.py").write_bytes(b"")
        directory.chmod(mode)
        made.write(f"{SITE}/conda.pth", f"{directory}\n".encode())

    return build


def user_site(made: PrefixBuilder) -> None:
    numpy(made)
    made.wheel("single", "1", {f"{SITE}/single.py": b""})
    home = made.root.parent / ".local" / SITE
    (home / "numpy").mkdir(parents=True)
    (home / "numpy/__init__.py").write_bytes(b"")
    (home / "namespace").mkdir()
    (home / "numpy-2.0.dist-info").mkdir()
    (home / "far-2.0.dist-info").mkdir()
    (home / "single.py").write_bytes(b"")
    (home / "other.py").write_bytes(b"")


def python_path(made: PrefixBuilder) -> None:
    numpy(made)
    folder = made.root.parent / "elsewhere"
    (folder / "numpy").mkdir(parents=True)
    (folder / "numpy/__init__.py").write_bytes(b"")
    (folder / "json").mkdir()
    for name in ("random.py", "other.py"):
        (folder / name).write_bytes(b"")


def changed_hook(made: PrefixBuilder) -> None:
    made.wheel("a", "1", {f"{SITE}/a.pth": b"import _editable_skbc_a\n", f"{SITE}/{HOOK}": b""})
    made.write(f"{SITE}/{HOOK}", b"import socket\n")


def with_option(made: PrefixBuilder) -> None:
    script = f"#!{made.root}/bin/python\nprint()\n".encode()
    made.distribution("a", "1", {"bin/a": script})
    made.write("bin/a", script.replace(b"/python\n", b"/python -E\n"))
    (made.root / "bin/a").chmod(0o755)


OF_PDBPP = (
    b"""import os; _pdbpp_path = f"{os.path.sep}_pdbpp_path_hack"; import sys; sys.path."""
    b"""insert(0, makepath(sitedir, "_pdbpp_path_hack")[0]) if int(os.environ.get('PDBPP"""
    b"""_HIJACK_PDB', 1)) and not sys.path[0].endswith(_pdbpp_path) else None\n"""
)
HOOK = "_editable_skbc_a.py"
DISTUTILS = b"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
USUAL = (
    b"import sys, types, os;m = sys.modules.setdefault('zope', types.ModuleType('zope'));m.append('x')\n",
    b"import sys; exec(u'try:\\n    import os\\nexcept (OSError):\\n    coverage.process_startup()\\n')\n",
)
HIDING = (
    DISTUTILS + b"os.system('id')\n",
    b"import sys, types, os; sys.modules.setdefault('x', os.popen('id'))\n",
    b"import sys; exec(__import__('base64').b64decode('coverage'))\n",
    b"import sys; exec('import coverage\\nimport socket')\n",
    b"import sys, types, os; sys.modules.setdefault('x', [os.system][0]('id'))\n",
)
UNOWNED_PTH: Expected = ("unowned-file", "info", SITE, None, None)
STARTUP = [
    *(pth(f"a usual line: {text[:50]!r}", text, ("pth-runs-code", "info")) for text in USUAL),
    *(pth(f"more than a usual line: {text[:60]!r}", text, ("pth-runs-code", "warning")) for text in HIDING),
    Case(
        "a hook of the package itself",
        lambda made: made.wheel("a", "1", {f"{SITE}/a.pth": b"import _editable_skbc_a\n", f"{SITE}/{HOOK}": b""}),
        (("pth-runs-code", "info", f"{SITE}/a.pth", "wheel:a-1", None),),
    ),
    Case(
        "the line of a known tool",
        lambda made: made.wheel("pdbpp", "1", {f"{SITE}/a.pth": OF_PDBPP}),
        (("pth-runs-code", "info", f"{SITE}/a.pth", "wheel:pdbpp-1", None),),
    ),
    pth("the line of a known tool in another package", OF_PDBPP, ("pth-runs-code", "warning")),
    Case(
        "a hook of the package itself, changed since",
        changed_hook,
        (
            ("modified-file", "error", f"{SITE}/{HOOK}", "wheel:a-1", None),
            ("pth-runs-code", "warning", f"{SITE}/a.pth", "wheel:a-1", None),
        ),
    ),
    Case(
        "a script whose python pipx gave an option",
        with_option,
        (
            ("rewritten-prefix", "info", "bin/a", "pip:a-1", None),
            ("unmanaged-distribution", "info", f"{SITE}/a-1.dist-info", "pip:a-1", None),
        ),
    ),
    Case(
        "a script with an option and another line",
        do(with_option, lambda made: made.write("bin/a", (made.root / "bin/a").read_bytes() + b"evil()\n")),
        (
            ("modified-file", "error", "bin/a", "pip:a-1", None),
            ("unmanaged-distribution", "info", f"{SITE}/a-1.dist-info", "pip:a-1", None),
        ),
    ),
    Case(
        "an entry point of a python that reads no .start",
        lambda made: made.wheel("a", "1", {f"{SITE}/a.start": b"a.hook:run\n"}),
        (),
    ),
    pth("code that every start runs", b"# hello\nimport base64; exec('')\n", ("pth-runs-code", "warning")),
    pth("a folder that is not there", b"/nowhere/at/all\n", ("pth-outside", "warning")),
    pth("a folder outside", b"/usr\n", ("pth-outside", "warning")),
    *(
        Case(
            f"a {what} that a person added",
            added(name, mode=mode),
            (("pth-outside", level, f"{SITE}/conda.pth", None, None), UNOWNED_PTH),
        )
        for what, name, mode, level in (
            ("project", "work/src", 0o755, "info"),
            ("directory that everyone may change", "drop", 0o777, "warning"),
            ("directory of another python's packages", "other/site-packages", 0o755, "warning"),
        )
    ),
    pth("a folder inside, and a comment", b"# nothing\n\n../site-packages\n"),
    Case(
        "an editable whose working copy is gone",
        editable,
        (
            ("broken-editable", "error", f"{SITE}/mine-1.dist-info", "pip:mine-1", None),
            ("pth-outside", "info", f"{SITE}/__editable__.mine-1.pth", "pip:mine-1", None),
            ("unmanaged-distribution", "info", f"{SITE}/mine-1.dist-info", "pip:mine-1", None),
        ),
    ),
    Case(
        "an editable module through a finder",
        finder,
        (("unmanaged-distribution", "info", f"{SITE}/mine-1.dist-info", "pip:mine-1", None),),
    ),
    Case(
        "packages of the user's own",
        user_site,
        (
            ("user-site-shadow", "warning", f"{SITE}/numpy-1.26.4.dist-info", NUMPY, None),
            ("user-site-shadow", "warning", f"{SITE}/single.py", "wheel:single-1", None),
        ),
        environ=lambda folder: {"HOME": str(folder)},
    ),
    Case(
        "a requirement that only the user's own packages meet",
        do(user_site, lambda made: made.distribution("asker", "1", {}, requires=["far>=2", "absent"])),
        (
            ("user-site-shadow", "warning", f"{SITE}/numpy-1.26.4.dist-info", NUMPY, None),
            ("user-site-shadow", "warning", f"{SITE}/single.py", "wheel:single-1", None),
            ("unmanaged-distribution", "info", f"{SITE}/asker-1.dist-info", "pip:asker-1", None),
            ("unmet-requirement", "error", f"{SITE}/asker-1.dist-info", "pip:asker-1", None),
            ("unmet-requirement", "info", f"{SITE}/asker-1.dist-info", "pip:asker-1", None),
        ),
        environ=lambda folder: {"HOME": str(folder)},
    ),
    Case(
        "packages of the user's own, kept out", user_site, environ=lambda f: {"HOME": str(f), "PYTHONNOUSERSITE": "1"}
    ),
    Case(
        "PYTHONPATH",
        python_path,
        (
            ("python-path-shadow", "warning", NP, NUMPY, None),
            ("python-path-shadow", "warning", None, None, None),
        ),
        environ=lambda folder: {"PYTHONPATH": f"{folder / 'elsewhere'}{os.pathsep}{folder / 'nothing'}"},
    ),
    Case(
        "modules that are called like python's own",
        lambda made: made.wheel(
            "a", "1", {f"{SITE}/enum/__init__.py": b"", "bin/random.py": b"", f"{SITE}/distutils.py": b""}
        ),
        (
            ("standard-library-shadow", "warning", f"{SITE}/enum/__init__.py", "wheel:a-1", None),
            ("standard-library-shadow", "warning", "bin/random.py", "wheel:a-1", None),
        ),
    ),
]
