"""The import rules of `docs/architecture.md`, enforced on the source as it stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*(ROOT / "bridge").rglob("*.py"), *(ROOT / "converters").rglob("*.py")])

# Modules that decide and do not act: they take values and ports, and return values.
PURE = [
    "bridge/requirements/algebra",
    "bridge/cli/documents",
    "bridge/prefix/entries",
    "bridge/errors",
    "bridge/fs/fingerprint",
    "bridge/install/manifest",
    "bridge/model",
    "bridge/install/notices",
    "bridge/prefix/claims",
    "bridge/install/ownership",
    "bridge/paths",
    "bridge/install/plan",
    "bridge/resolve/present",
    "bridge/install/provenance",
    "bridge/conda_plugin/needs",
    "bridge/audit/checks",
    "bridge/audit/claims",
    "bridge/audit/dependencies",
    "bridge/audit/files",
    "bridge/audit/finding",
    "bridge/audit/inventory",
    "bridge/audit/native",
    "bridge/audit/observed",
    "bridge/audit/programs",
    "bridge/audit/readings",
    "bridge/audit/records",
    "bridge/audit/repair",
    "bridge/audit/requirements",
    "bridge/audit/startup",
    "bridge/audit/territory",
    "bridge/audit/unowned",
    "bridge/audit/view",
    "bridge/prefix/columns",
    "bridge/resolve/",
    "converters/dependencies",
    "converters/documents",
    "converters/errors",
    "converters/layout",
    "converters/markers",
    "converters/names",
    "converters/record",
    "converters/tags",
    "converters/target",
    "converters/translate",
    "converters/versions",
]
ACTING = {"requests", "rattler", "zipfile", "tarfile", "sqlite3", "subprocess", "socket", "shutil", "tempfile"}
# What changes a file system, by the names under which it is imported or called.
MUTATING = {
    "os": {"rename", "renames", "replace", "link", "unlink", "remove", "rmdir", "removedirs", "symlink", "mkdir",
           "makedirs", "truncate", "chmod", "mkfifo", "utime", "write", "ftruncate"},
    "shutil": {"*"},
    "Path": {"rename", "replace", "unlink", "rmdir", "symlink_to", "hardlink_to", "mkdir", "touch", "chmod",
             "write_text", "write_bytes"},
}  # fmt: skip


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_pure(name: str) -> bool:
    return any(name == pure or (pure.endswith("/") and name.startswith(pure)) for pure in PURE)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_who_may_import_what(path: Path) -> None:
    name = name_of(path)
    top = {module.split(".")[0] for module in imports(path)}
    if name.startswith("converters/"):
        assert "bridge" not in top
    if name == "converters/errors":
        assert top <= {"__future__", "re", "collections", "typing"}
    if name == "bridge/errors":
        assert top == {"__future__", "converters"}
    for module, owners in {
        "click": {"bridge/cli"},
        "rich": {"bridge/cli/render"},
        "requests": {"bridge/fetch"},
        "cachecontrol": {"bridge/fetch"},
        "subprocess": {
            "bridge/sdists/build",
            "bridge/conda_plugin/child",
            "bridge/sdists/confine/driver",
            "bridge/install/staging/bytecode",
            "bridge/install/link_scripts",
        },
        "conda": {"bridge/conda_plugin"},
    }.items():
        assert module not in top or any(name == owner or name.startswith(f"{owner}/") for owner in owners), module
    if "rattler" in top:
        assert name in {"bridge/channels/_rattler", "bridge/requirements/matchspec"}
    if not name.startswith("bridge/conda_plugin/"):
        assert not any(module.startswith("bridge.conda_plugin") for module in imports(path)), "conda imports the plugin"
    if name == "bridge/requirements/matchspec":
        wanted = {m for m in imports(path) if m.startswith("rattler.")}
        pure = {"MatchSpec", "PackageRecord", "Version", "VersionSpec", "package", "package.BuildString"}
        assert wanted <= {f"rattler.{each}" for each in pure}
    if is_pure(name):
        allowed = {"rattler"} if name == "bridge/requirements/matchspec" else set()
        assert not top & ACTING - allowed


@pytest.mark.parametrize("path", [p for p in MODULES if is_pure(name_of(p))], ids=name_of)
def test_pure_modules_open_nothing(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            assert called not in {"open", "read_text", "read_bytes", "write_text", "write_bytes", "urlopen"}, (
                node.lineno
            )


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "bridge")], ids=name_of)
def test_one_module_writes(path: Path) -> None:
    """Only `bridge/fs` changes a file system, whoever's file it is.

    What runs in the sandbox of a build writes there, and cannot elsewhere.
    """
    name = name_of(path)
    if name.startswith(("bridge/fs/", "bridge/sdists/confine/")):
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil"):
            names = {alias.name for alias in node.names}
            assert not names & MUTATING["os"], node.lineno
            assert node.module != "shutil", node.lineno
        if isinstance(node, ast.Import):
            assert "shutil" not in {alias.name for alias in node.names}, node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "os":
                assert node.func.attr not in MUTATING["os"], node.lineno
            assert node.func.attr not in {"write_text", "write_bytes", "symlink_to", "hardlink_to", "touch"}, (
                node.lineno
            )
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called == "open":
                modes = [
                    a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)
                ]
                assert not any(
                    isinstance(m, str) and set(m) <= set("rwaxbt+") and set(m) & set("wax+") for m in modes
                ), node.lineno


def test_only_the_adapter_installs_with_rattler() -> None:
    callers = [name_of(path) for path in MODULES if "rattler.install" in set(imports(path))]
    assert callers == ["bridge/channels/_rattler"]


def test_every_pure_module_is_there() -> None:
    known = {name_of(path) for path in MODULES}
    missing = [p for p in PURE if p not in known and not any(k.startswith(p) for k in known if p.endswith("/"))]
    assert missing == []
