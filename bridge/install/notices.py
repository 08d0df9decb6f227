"""Notices about a plan before it is applied: startup code, menu items, names that differ in case only. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from bridge.archive.conda import CondaManifest
from bridge.archive.paths import fold_case
from bridge.archive.refusal import shown
from bridge.archive.wheels import WheelManifest
from bridge.errors import UnsafeInputError
from bridge.install.manifest import Manifest
from bridge.model import Entry, Plan, PrefixState
from bridge.paths import META
from bridge.prefix.claims import incoming, leaving
from bridge.prefix.entries import paths_of
from bridge.sdists.location import source_of
from converters.deferred import regex

__all__ = ["notices", "refuse_startup_code", "startup_code"]

_SHOWN = 5
# Python's `site` module runs these at every start: lines of .pth files, entry points of .start files (PEP 829), and two
# modules anywhere on sys.path.
_PATH_FILE = regex(r"[^/]+\.(?:pth|start)\Z", re.IGNORECASE)
_SUFFIXES = (".pth", ".start")
_MODULE = regex(r"(?:sitecustomize|usercustomize)(?:\.[^/]+|/__init__\.[^/]+)\Z", re.IGNORECASE)
_LIBRARY = regex(r"lib/(?:python[^/]*/(?:lib-dynload/)?)?")
# conda treats every JSON file below Menu/ as a description of shortcuts (CEP 11).
_MENU_ITEM = regex(r"Menu/[^/]+\.json\Z", re.IGNORECASE)
_REPORTED = ("wheel-version", "case-collision")


def startup_code(paths: Iterable[str], site_packages: str) -> tuple[str, ...]:
    """Return the paths that python executes, or may execute, at every start.

    :param site_packages: of the environment; `.pth` files count there only.
    """
    site = f"{site_packages}/"
    startup: list[str] = []
    paths = tuple(paths)
    text = "\n".join(paths).lower()
    if not any(part in text for part in (*_SUFFIXES, "customize")):
        return ()  # nearly every package
    for path in paths:
        if not path.lower().endswith(_SUFFIXES) and "customize" not in path.lower():
            continue  # nearly every path
        inside = path[len(site) :] if path.startswith(site) else None
        library = _LIBRARY.match(path)
        rest = inside if inside is not None else path[library.end() :] if library else ""
        if _MODULE.match(rest) or (inside is not None and _PATH_FILE.match(inside)):
            startup.append(path)
    return tuple(sorted(startup))


def refuse_startup_code(
    plan: Plan, manifests: Mapping[str, Manifest], predicted: Mapping[str, tuple[Entry, ...]], site_packages: str
) -> None:
    """Raise `UnsafeInputError` (`startup-code`) if a wheel of the plan contains startup code."""
    for filename, path in _startup_files(plan, manifests, predicted, site_packages):
        raise UnsafeInputError(
            "startup-code",
            f"{filename} contains {shown(path)}, which python runs at every start",
            context=(f"member: {shown(path)}",),
            hint="nothing was written; if you trust it, omit --refuse-startup-code (BRIDGE_REFUSE_STARTUP_CODE)",
            objects={"archive": filename, "path": path},
        )


def notices(
    state: PrefixState,
    plan: Plan,
    manifests: Mapping[str, Manifest],
    predicted: Mapping[str, tuple[Entry, ...]],
    site_packages: str,
) -> Iterator[str]:
    """Yield one sentence for each thing the user should know before the plan is applied.

    :param predicted: the paths of every incoming package (`bridge.install.manifest.predict`).
    """
    for filename, path in _startup_files(plan, manifests, predicted, site_packages):
        yield f"{filename} contains {shown(path)}, which python runs at every start"
    for manifest in manifests.values():
        if isinstance(manifest, CondaManifest):  # Built on a case-sensitive system (terminfo).
            continue
        for name in _REPORTED:
            first, *more = [each for each in manifest.cautions if each.id == name] or (None,)
            if first is not None:
                count = f", and {len(more)} more" if more else ""
                yield f"{manifest.filename}: {first.detail} ({shown(first.path)}{count})"
    yield from _menu_items(plan, predicted)
    yield from _cases(state, plan, predicted)


def _startup_files(
    plan: Plan, manifests: Mapping[str, Manifest], predicted: Mapping[str, tuple[Entry, ...]], site_packages: str
) -> Iterator[tuple[str, str]]:
    for resolved in incoming(plan):
        manifest = manifests[resolved.record.identity]
        if isinstance(manifest, WheelManifest):
            paths: Iterable[str] = (entry.path for entry in predicted[resolved.record.identity])
            source = source_of(resolved.record.url)
            if source is not None and source.is_editable:
                # The user asked for a link to the sources, and this is how a link is made.
                paths = (path for path in paths if not path.endswith(".pth"))
            for path in startup_code(paths, site_packages):
                yield manifest.filename, path


def _menu_items(plan: Plan, predicted: Mapping[str, tuple[Entry, ...]]) -> Iterator[str]:
    """Report packages with menu items (menuinst), from which conda and mamba create desktop shortcuts."""
    for step in incoming(plan):
        if step.record.ecosystem != "conda":
            continue
        items = [path for path in paths_of(predicted[step.record.identity]) if _MENU_ITEM.match(path)]
        if items:
            yield (
                f"{step.record.name} has menu items ({shown(items[0])}): bridge creates no shortcuts for them; "
                f"`conda install --force-reinstall {step.record.name}` does"
            )


def _cases(state: PrefixState, plan: Plan, predicted: Mapping[str, tuple[Entry, ...]]) -> Iterator[str]:
    """Report files of two packages whose paths differ in case only: some file systems treat them as one."""
    paths = set[str]().union(*map(paths_of, (*predicted.values(), *(each.entries for each in state.installed))))
    fold = str.lower if all(map(str.isascii, paths)) else fold_case
    if len(set(map(fold, paths))) == len(paths):
        return  # nearly always
    labels = {each.record.identity: each.record.label for each in incoming(plan)}
    by_case: dict[str, tuple[str, str]] = {}
    messages: list[str] = []
    for identity, entries in predicted.items():
        for entry in entries:
            if entry.fingerprint.kind == "directory" or entry.path.startswith(f"{META}/"):
                continue
            path, label = by_case.setdefault(fold_case(entry.path), (entry.path, labels[identity]))
            if path != entry.path and label != labels[identity]:
                messages.append(_differ(entry.path, labels[identity], path, label))
    gone = {old.meta_path for old in leaving(plan)}
    for installed in state.installed if by_case else ():
        for path in paths_of(installed.entries) if installed.meta_path not in gone else ():
            other, label = by_case.get(fold_case(path), (path, ""))
            if other != path:
                messages.append(_differ(other, label, path, installed.record.label))
    yield from messages[:_SHOWN]
    if len(messages) > _SHOWN:
        yield f"{len(messages) - _SHOWN} more paths of these packages differ in case only"


def _differ(path: str, label: str, other: str, other_label: str) -> str:
    return f"{shown(path)} of {label} and {shown(other)} of {other_label} differ in case only"
