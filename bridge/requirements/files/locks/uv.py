"""uv.lock, version 1: what `uv sync` installs on one platform.

Written by hand: no library reads it. uv.lock is a graph; an edge has a marker, an extra and, of a project that is
locked several times, a version. What is reached is found by walking the graph for every python at which a marker of the
lock may change; the walks become markers on the python alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.fields import Field
from bridge.requirements.files.locks.errors import invalid
from bridge.requirements.files.locks.lazily import Lazily
from bridge.requirements.files.locks.uv_graph import Graph, Node, python_marker, pythons
from bridge.requirements.files.locks.uv_packages import locked_files
from bridge.requirements.files.values import Chosen, wrong
from bridge.requirements.locked import Lock, Locked, LockedEnvironment
from converters.target import SUBDIRS

__all__ = ["MANIFEST", "PACKAGE", "SOURCE", "TOP", "is_uv_lock", "read_uv_lock"]

_SOLVED = describes("how the lock was solved; nothing is solved again")
TOP = Section(
    name="uv.lock",
    keys={
        "version": honoured("1; others are refused"),
        "revision": describes("what its writer knew; readers of version 1 read each"),
        "requires-python": honoured("the python must meet it"),
        "package": honoured("exactly these artifacts, hashes required"),
        "manifest": honoured("the members of the workspace"),
        "resolution-markers": _SOLVED,
        "supported-markers": _SOLVED,
        "required-markers": _SOLVED,
        "conflicts": honoured("extras and groups that exclude each other"),
        "options": _SOLVED,
    },
)
_OF_SOLVE = ("requirements", "constraints", "overrides", "build-constraints", "dependency-metadata", "excludes")
MANIFEST = Section(
    name="uv.lock manifest",
    keys={
        "members": honoured("all are installed where the lock's folder is none of them"),
        **dict.fromkeys(_OF_SOLVE, _SOLVED),
        "dependency-groups": honoured("of a workspace without a project"),
    },
)
PACKAGE = Section(
    name="uv.lock package",
    keys={
        "name": honoured("the project"),
        "version": honoured("must be that of the artifact"),
        "source": honoured("where it comes from"),
        "dependencies": honoured("followed where their marker holds"),
        "optional-dependencies": honoured("followed where the extra is asked for"),
        "dev-dependencies": honoured("`--group`; without it, the group `dev`, as `uv sync` does"),
        "wheels": honoured("the one with the best tag is installed"),
        "sdist": honoured("built where no wheel fits"),
        "resolution-markers": _SOLVED,
        "metadata": describes("what the project's own file says"),
    },
)
SOURCE = Section(
    name="uv.lock source",
    keys={
        "registry": honoured("an index, or a folder of files"),
        "git": honoured("a repository, at the locked commit"),
        "url": honoured("installed as by its URL"),
        "path": honoured("a wheel or an archive, installed as by its path"),
        "directory": honoured("a folder, installed as by its path"),
        "editable": honoured("a folder, installed as with `-e`"),
        "virtual": honoured("a folder that is not a package: what it needs is installed"),
        "subdirectory": honoured("of a repository or an archive"),
    },
    unknown="refused",
)

_FORMAT = "uv.lock of version 1"
_DEFAULT_GROUP = "dev"


def is_uv_lock(path: Path, document: Mapping[str, object]) -> bool:
    """Return whether a TOML document is a lock of uv."""
    packages = document.get("package")
    is_list = isinstance(packages, list) and all(isinstance(each, dict) and "source" in each for each in packages)
    return path.name == "uv.lock" or (is_list and "version" in document and "requires-python" in document)


def read_uv_lock(path: Path, document: Mapping[str, object], chosen: Chosen) -> Lock:
    """Read a uv.lock: the project of its folder, else all members of the workspace, as `uv sync` installs them.

    :param chosen: its `extras` and `groups` are those of these projects; without groups, `dev`.

    Raises `UsageError` (`requirement-file`) for another version, an unknown source and an unknown extra or group,
    `UnsafeInputError` (`lock-invalid`) for an entry that cannot be verified or an edge that leads nowhere.
    """
    warnings: list[str] = []
    top = TOP.check(Field(document, path), warnings)
    version = top["version"]
    if version.value != 1:
        hint = "write it again with a uv that writes version 1"
        raise version.wrong(f"bridge does not read version {version.value} of uv.lock", hint=hint)
    manifest = MANIFEST.check(top["manifest"].or_empty(), warnings)
    nodes = [_node(each, warnings) for each in top["package"].items()]
    graph = Graph(nodes, path)
    roots = _roots(nodes, manifest["members"].texts(), path)
    extras, groups = _names(roots, chosen, path)
    requires_python = top["requires-python"].text_or_none() or None
    makers: dict[str, Callable[[], tuple[Locked, ...]]] = {
        subdir: partial(_packages, graph, roots, extras, groups, requires_python, subdir, path) for subdir in SUBDIRS
    }
    environment = LockedEnvironment(
        indexes=tuple(dict.fromkeys(each.registry for each in nodes if "://" in each.registry)),
        packages=Lazily(makers),
        requires_python=requires_python,
        extras=tuple(dict.fromkeys(name for each in roots for name in each.optional)),
        groups=tuple(dict.fromkeys(name for each in roots for name in each.groups)),
    )
    return Lock(
        path=path, format="uv", version="1", environments=(environment,), warnings=tuple(dict.fromkeys(warnings))
    )


def _node(field: Field, warnings: list[str]) -> Node:
    path, where = field.path, field.where
    if not isinstance(field.value, dict):
        raise invalid(path, _FORMAT, f"{where} is not a table")
    needs: list[str] = []
    PACKAGE.check(Field(field.value, path, "package"), needs)
    source = SOURCE.check(Field(field.value.get("source"), path, "package.source"), needs)
    warnings += needs
    if not source.table().keys() - {"subdirectory"}:
        raise invalid(path, _FORMAT, f"{where} has no source")
    return Node(
        name=field["name"].text(),
        version=field["version"].text_or_none() or "",
        source={key: each.text() for key, each in field["source"].entries()},
        edges=field["dependencies"].tables(),
        optional={name: each.tables() for name, each in field["optional-dependencies"].entries()},
        groups={name: each.tables() for name, each in field["dev-dependencies"].entries()},
        entry=field.value,
    )


def _roots(nodes: list[Node], members: tuple[str, ...], path: Path) -> list[Node]:
    local = [each for each in nodes if each.folder is not None]
    roots = [each for each in local if each.folder == "."] or [each for each in local if each.name in members]
    if not roots:
        hint = "export it: uv export --format pylock.toml -o pylock.toml"
        raise wrong(path, None, "the lock has no project of its own (it may be of a script)", hint=hint)
    return roots


def _names(roots: list[Node], chosen: Chosen, path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the extras and groups to follow."""
    for kind, asked, known in (
        ("extra", chosen.extras, {name for each in roots for name in each.extras}),
        ("group", chosen.groups, {name for each in roots for name in each.groups}),
    ):
        for name in asked:
            if name not in known:
                context = (f"it has: {', '.join(sorted(known)) or 'none'}",)
                raise wrong(path, None, f"the lock was made without the {kind} {name!r}", context=context)
    return frozenset(chosen.extras), frozenset(chosen.groups) or frozenset({_DEFAULT_GROUP})


def _packages(
    graph: Graph,
    roots: list[Node],
    extras: frozenset[str],
    groups: frozenset[str],
    requires_python: str | None,
    subdir: str,
    path: Path,
) -> tuple[Locked, ...]:
    samples = pythons(graph.markers, requires_python)
    reached: dict[int, list[bool]] = {}
    asked: dict[int, set[str]] = {}
    for place, version in enumerate(samples):
        for node, wanted in graph.reached(roots, extras, groups, subdir, version).items():
            reached.setdefault(node, [False] * len(samples))[place] = True
            asked.setdefault(node, set()).update(wanted)
    packages: list[Locked] = []
    for node in sorted(reached):
        marker = python_marker(samples, reached[node])
        packages += locked_files(graph.nodes[node], tuple(sorted(asked[node])), marker, path)
    return tuple(packages)
