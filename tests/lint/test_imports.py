"""The rules of `docs/architecture.md` that an import linter cannot say: who writes, and that pure code opens nothing.

The import rules themselves are contracts in `pyproject.toml`; `tests/lint/test_contracts.py` holds those.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.syntax import nodes_in, nodes_of, tree_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted([*(ROOT / "bridge").rglob("*.py"), *(ROOT / "converters").rglob("*.py")])
# The wing that writes, and what runs in the sandbox of a build: it writes there, and cannot elsewhere.
WRITERS = ("bridge/fs/", "bridge/sdists/confine/")
OF_OS = {
    "rename", "renames", "replace", "link", "unlink", "remove", "rmdir", "removedirs", "symlink", "mkdir", "makedirs",
    "truncate", "chmod", "mkfifo", "utime", "write", "ftruncate", "lchmod", "chown", "mknod",
}  # fmt: skip
OF_PATH = {
    "rename", "unlink", "rmdir", "symlink_to", "hardlink_to", "mkdir", "touch", "chmod", "lchmod", "write_text",
    "write_bytes",
}  # fmt: skip
# Objects with methods of those names that are no paths: `WritableTree`s, and modules of ours.
TREES = {"tree", "self._tree", "self._old", "self._prefix", "prefix", "new", "repair"}
# One lazy door (docs/decisions/0020): below the command line an import stands at the top of its module. What is
# imported later, and why; a path that ends in "/" stands for all modules below it.
LATE = {
    ("bridge/__main__", "bridge"): "the command line comes after PYTHONPATH was moved to the end of sys.path",
    ("bridge/__main__", "resource"): "the walk of an audit starts before all that it does not need",
    ("bridge/config/__init__", "bridge.config"): "most runs name a prefix, or none, and known platforms",
    ("bridge/conda_plugin/", ""): "conda imports its plugins at each start",
    ("bridge/audit/look/binaries", "elftools"): "ELF as linkers make it needs no library",
    ("bridge/audit/look/binaries", "macholib"): "for macOS only",
    ("bridge/audit/look/binaries", "pefile"): "for Windows only",
    ("bridge/audit/report/sbom", "bridge.audit.report.cyclonedx_bill"): "of the extra `sbom`",
    ("bridge/audit/report/sbom", "bridge.audit.report.spdx_bill"): "of the extra `sbom`",
    ("bridge/convert/workers", "distributed"): "of the extra `dask`",
    ("bridge/convert/workers", "ctypes"): "only the workers of a cluster change their allocator",
    ("bridge/sdists/confine/driver", "installer"): "found on the path that the sandbox is given",
    ("bridge/sdists/confine/driver", "build"): "found on the path that the sandbox is given",
    ("bridge/sdists/confine/child", "bridge.sdists.confine.driver"): "a probe of the sandbox runs without it",
    ("bridge/config/policy_files", "bridge.config.policy.reading"): "most runs have no policy",
    ("bridge/faults", "signal"): "only a test arms a failpoint",
    ("bridge/config/condarc", "yaml"): "few machines have a .condarc",
    ("bridge/fetch/client", "bridge.fetch.http"): "a run without a network starts without requests",
    ("bridge/requirements/foreign", "bridge.prefix.claims"): "a solve without an environment reads none",
    ("bridge/requirements/foreign", "bridge.requirements.displaced"): "a solve without an environment reads none",
    ("bridge/resolve/ruling", "bridge.prefix.attested"): "most runs have no policy, and no environment to read",
    ("bridge/resolve/ruling", "bridge.config.policy.places"): "most runs have no policy",
    ("bridge/resolve/__init__", "bridge.resolve.search.conflict"): "only a request without a solution is explained",
    ("bridge/resolve/__init__", "bridge.resolve.explain.stopped"): "only a search that was stopped is explained",
    ("bridge/fetch/responses", "email.utils"): "a run on fresh pages reads no dates",
    ("bridge/fetch/responses", "calendar"): "a run on fresh pages reads no dates",
    ("bridge/fetch/responses", "http"): "most answers are no errors",
    ("bridge/index/parsed_pages", "email.utils"): "a run on fresh pages reads no dates",
    ("bridge/index/project_list", "bridge.index.html_pages"): "most indexes answer in JSON",
    ("bridge/index/simple_api", "bridge.index.html_pages"): "most indexes answer in JSON",
    ("bridge/channels/sources", "bridge.channels.host"): "most runs name channels of their own",
    ("bridge/requirements/files/pip_format", "bridge.requirements.files.pip_options"): "few lines have options",
    ("bridge/index/__init__", "bridge.index.sdists"): "a solve of wheels starts without what builds sdists",
    ("bridge/index/__init__", "bridge.index.source_trees"): "a solve of wheels starts without what builds sources",
    ("bridge/requirements/files/local", "bridge.sdists.static"): "only a folder's name takes a reader of TOML",
    (
        "bridge/requirements/files/reading",
        "bridge.requirements.files",
    ): "a list of requirements needs no YAML or TOML",
    ("bridge/install/apply", "bridge.install"): "a change with nothing to do starts without what stages packages",
    ("bridge/install/staging/placing", "bridge.install.staging"): "conda packages are placed without `installer`",
    ("bridge/channels/host/channel", "bridge.channels.host"): "a packed interpreter is found without what packs one",
    ("bridge/requirements/matchspec", "rattler"): "names alone need no parser: most lists and no-ops",
    ("bridge/channels/machine", "bridge.channels"): "the common machines need no rattler",
    ("bridge/channels/places", "bridge.channels._rattler"): "rattler expands names; most origins are URLs",
    ("bridge/channels/repodata/__init__", "bridge.channels.repodata"): "a directory needs no zstandard and no msgpack",
    ("bridge/channels/repodata/__init__", "bridge.channels._rattler"): "rattler reads whole repodata; shards need none",
    ("converters/descriptions", "email.utils"): "only a bill of materials takes addresses apart",
    ("converters/wheel", "zipfile"): "METADATA of an environment or an index is in no archive",
    ("bridge/prefix/eggs", "zipfile"): "few environments have eggs",
    ("converters/descriptions", "packaging.licenses"): "few licences need the table of SPDX",
    ("converters/metadata", "packaging.version"): "most versions are canonical as they are written",
    ("converters/target", "packaging"): "a list needs no wheel tags, and most versions of python are plain",
    ("bridge/fs/removal", "concurrent.futures"): "it imports logging; most commands remove no tree",
    ("bridge/audit/look/statuses", "ctypes"): "what walks is started before anything is imported",
    ("bridge/fs/durability", "ctypes"): "most commands write nothing that must last",
    ("bridge/sdists/names", "packaging"): "a list tells sources by their URLs, and reads no name of an sdist",
    ("bridge/fs/copies", "pickle"): "most answers of copies are plain values",
    ("bridge/config/pip", "configparser"): "few machines have configuration files of pip",
    ("bridge/config/moments", "datetime"): "few settings name a moment",
    ("bridge/config/layers", "datetime"): "few settings name a moment",
    ("bridge/fetch/pool", "concurrent.futures"): "it imports logging; a run on fresh pages has no threads",
    ("bridge/fetch/client", "random"): "most requests succeed",
    ("bridge/fetch/client", "bridge.fetch.ranged"): "most METADATA has a file of its own, or is kept",
    ("bridge/config/credentials", "base64"): "few credentials are of the kind",
    ("bridge/config/files", "select"): "few files are pipes",
    ("bridge/channels/repodata/base_urls", "mmap"): "small directories are not read by rattler",
    ("bridge/paths", "unicodedata"): "most paths are ASCII",
    ("bridge/resolve/installed", "bridge.requirements.metadata"): "a new environment has no records",
    ("bridge/resolve/preflight", "bridge.resolve.explain.ranges"): "only a refusal needs words for ranges",
    ("bridge/requirements/conda_versions", "rattler"): "most versions are numbers and dots",
    ("converters/fields", "packaging.metadata"): "plain METADATA needs no parser of e-mails",
    (
        "bridge/convert/job",
        "bridge.convert.newest",
    ): "a wheel that is named by its file needs no choice by the resolver",
    ("bridge/convert/job", "bridge.resolve"): "few runs have a policy",
    ("bridge/convert/workers", "concurrent.futures"): "one process needs no others",
    ("bridge/convert/workers", "multiprocessing"): "one process needs no others",
    ("bridge/install/staging/conda", "bridge.channels"): "rattler links few packages: most are placed",
}
OPENERS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "urlopen"}


def pure_modules() -> list[str]:
    """The modules that the contract "Pure code acts on nothing" names or that lie in its packages, without `.py`."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (pure,) = (each for each in contracts if each["name"] == "Pure code acts on nothing")
    named = tuple(name.replace(".", "/") for name in pure["source_modules"])
    return [name for name in map(name_of, MODULES) if name in named or name.startswith(tuple(f"{n}/" for n in named))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def called_name(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def writes(source: str) -> Iterator[str]:
    """What in a module changes a file system, by line."""
    for node in nodes_of(source):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil"):
            names = {alias.name for alias in node.names}
            yield from (f"{line}: {name}" for name in names if node.module == "shutil" or name in OF_OS)
        if isinstance(node, ast.Import):
            yield from (f"{line}: shutil" for alias in node.names if alias.name == "shutil")
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute):
            receiver = ast.unparse(node.func.value)
            if receiver == "os" and node.func.attr in OF_OS:
                yield f"{line}: os.{node.func.attr}"
            elif receiver not in TREES and node.func.attr in OF_PATH:
                yield f"{line}: {receiver}.{node.func.attr}"
        if called_name(node) == "open":
            place = 1 if isinstance(node.func, ast.Name) else 0  # `open(path, mode)`, `path.open(mode)`
            given = [*node.args[place : place + 1], *(k.value for k in node.keywords if k.arg == "mode")]
            modes = [a.value for a in given if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            yield from (f"{line}: open({mode!r})" for mode in modes if set(mode) & set("wax+"))


def openings(source: str) -> Iterator[str]:
    """What in a module opens a file or a connection, by line."""
    for node in nodes_of(source):
        if isinstance(node, ast.Call) and called_name(node) in OPENERS:
            yield f"{node.lineno}: {called_name(node)}"


def test_one_wing_writes() -> None:
    """Only `bridge/fs` changes a file system, whoever's file it is."""
    breaches = [
        f"{name_of(path)}:{breach}"
        for path in MODULES
        if not name_of(path).startswith(WRITERS)
        for breach in writes(path.read_text("utf-8"))
    ]
    assert breaches == []


def test_pure_modules_open_nothing() -> None:
    paths = {name_of(path): path for path in MODULES}
    breaches = [f"{name}:{breach}" for name in pure_modules() for breach in openings(paths[name].read_text("utf-8"))]
    assert breaches == []
    assert len(pure_modules()) >= 50


@pytest.mark.parametrize(
    "line",
    [
        "Path('x').unlink()",
        "path.mkdir()",
        "path.rename(other)",
        "path.chmod(0o644)",
        "os.replace(a, b)",
        "from os import unlink",
        "import shutil",
        "from shutil import rmtree",
        "open('x', 'w')",
        "path.open('ab')",
        "path.write_text('x')",
    ],
)
def test_a_write_outside_fs_is_seen(line: str) -> None:
    assert list(writes(f"import os\nfrom pathlib import Path\n{line}\n")) != []


@pytest.mark.parametrize("line", ["text.replace('a', 'b')", "tree.unlink(path)", "open('x', 'rb')", "path.open()"])
def test_what_writes_nothing_is_let_be(line: str) -> None:
    assert list(writes(f"{line}\n")) == []


def test_only_the_adapter_installs_with_rattler() -> None:
    modules = {"rattler", "rattler.install"}
    callers = [
        name_of(path)
        for path in MODULES
        for node in nodes_in(path)
        if isinstance(node, ast.ImportFrom) and node.module in modules and "install" in {a.name for a in node.names}
    ]
    assert callers == ["bridge/channels/_rattler_link"]


def test_rattler_is_used_in_the_matchspec_module_by_its_pure_types_alone() -> None:
    source = (ROOT / "bridge/requirements/matchspec.py").read_text("utf-8")
    names = {
        alias.name
        for node in nodes_of(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rattler")
        for alias in node.names
    }
    assert names <= {"BuildString", "MatchSpec", "PackageRecord", "Version", "VersionSpec"}


def late_imports(source: str) -> Iterator[tuple[int, str]]:
    """The modules that are imported inside functions, by line."""
    for function in nodes_of(source):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom):
                yield node.lineno, node.module or ""
            elif isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)


def door(name: str, imported: str) -> tuple[str, str] | None:
    """The entry of `LATE` that lets the module import `imported` late."""
    for module, target in LATE:
        is_named = name.startswith(module) if module.endswith("/") else name == module
        if is_named and (target == "" or f"{imported}.".startswith(f"{target}.")):
            return module, target
    return None


def test_below_the_command_line_imports_stand_at_the_top() -> None:
    breaches, used = set(), set()
    for path in MODULES:
        name = name_of(path)
        if name.startswith("bridge/cli/"):
            continue
        for line, imported in late_imports(path.read_text("utf-8")):
            entry = door(name, imported)
            used.add(entry)
            if entry is None:
                breaches.add(f"{name}:{line}: {imported}")
    assert breaches == set()
    assert set(LATE) - used == set(), "no longer needed"


@pytest.mark.parametrize("line", ["import bridge.model", "from bridge import model", "    import rattler"])
def test_a_late_import_is_seen(line: str) -> None:
    assert list(late_imports(f"def f():\n    if True:\n        {line.strip()}\n")) != []
    assert door("bridge/install/plan", "rattler") is None


def test_no_package_looks_its_names_up_late() -> None:
    """PEP 562: a package's names are those of its modules."""
    lazy = [
        name_of(path)
        for path in MODULES
        for node in tree_of(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    ]
    assert lazy == []
