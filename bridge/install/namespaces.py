"""Let one package own the `__init__.py` of a namespace package that several wheels bring with different contents.

pip lets the last one overwrite the others, which serves all parts of the namespace too.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge import fs
from bridge.archive.wheels import WheelManifest
from bridge.install.manifest import Manifest, wheel_members
from bridge.model import Plan, PrefixState
from bridge.prefix.claims import incoming, leaving, owned_entries
from converters.deferred import dataclass
from converters.namespaces import LONGEST_NAMESPACE, is_namespace_declaration
from converters.record import Record

__all__ = ["Yielding", "yield_namespaces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yielding:
    """`patterns` as of `--allow-clobber`: which package yields at which path. `notices`: one for each path."""

    patterns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def yield_namespaces(state: PrefixState, plan: Plan, manifests: Mapping[str, Manifest], site_packages: str) -> Yielding:
    """Return who yields where: to what is installed and stays, else to the first of the plan by name."""
    brought: dict[str, list[tuple[Record, str]]] = {}
    for resolved in sorted(incoming(plan), key=lambda each: each.record.name):
        manifest = manifests[resolved.record.identity]
        if not isinstance(manifest, WheelManifest) or plan.target.python is None:
            continue
        if any(member.is_namespace for member in manifest.members):
            for member, path in wheel_members(manifest, plan.target.python, site_packages, plan.target.layout):
                if member.is_namespace:
                    brought.setdefault(path, []).append((resolved.record, member.sha256))
    freed = {entry.path for installed in leaving(plan) for entry in owned_entries(installed)} if brought else set()
    patterns, notices = [], []
    for path, packages in sorted(brought.items()):
        owners = 0 if path not in freed and is_namespace_declaration(path, _content(state, path)) else 1
        yielding = packages[owners:]
        if yielding and len({sha256 for _, sha256 in packages}) > owners:
            patterns += [f"{record.name}:{path}" for record, _ in yielding]
            if owners:
                others = ", ".join(record.label for record, _ in yielding)
                notices.append(f"{path} declares a namespace: that of {packages[0][0].label} serves {others} too")
    return Yielding(patterns=tuple(patterns), notices=tuple(notices))


def _content(state: PrefixState, path: str) -> bytes:
    """Return the content of a file of the prefix, as far as a declaration can be long; `b""` if there is none."""
    try:
        with fs.open_regular(state.prefix / path, root=state.prefix) as stream:
            return stream.read(LONGEST_NAMESPACE + 1)
    except OSError:
        return b""
