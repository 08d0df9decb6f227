"""Place conda packages that the cache has unpacked, as rattler links them, with the code that places wheels.

Each file is written once: it is hashed, and the prefix put into it, while it is copied. What only rattler can do stays
its: launchers of Windows, and signatures of macOS (`bridge.install.staging.conda`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bridge import fs
from bridge.archive.conda import CondaManifest, CondaPath
from bridge.archive.entry_points import parse_entry_point
from bridge.cache.contents import Contents
from bridge.errors import IntegrityError, UnsafeInputError
from bridge.install.manifest import linked_path
from bridge.install.staging.inputs import StageInputs, changed
from bridge.install.staging.placer import Placer
from bridge.model import Entry, Fingerprint, Resolved
from bridge.prefix.placed import Placeholder, fill
from bridge.prefix.shebangs import replaced
from converters.deferred import dataclass
from converters.target import Python

__all__ = ["Part", "can_link", "link_package", "packed_entries", "record_document"]

_LOOSE_BITS = 0o7002  # set-id, sticky, writable by anyone: never installed
_SCRIPT_MODE = 0o775
_COMMAND = """\
# -*- coding: utf-8 -*-
import re
import sys

from {module} import {name}

if __name__ == '__main__':
	sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])
	sys.exit({attribute}())
"""


def can_link(inputs: StageInputs, packages: Iterable[Resolved]) -> bool:
    """Whether all of these are unpacked in the cache, and need nothing that only rattler can do."""
    is_plain = inputs.plan.target.subdir.startswith("linux-")
    python = inputs.plan.python
    return (
        is_plain
        and not (python is not None and python.free_threaded)
        and all(each.record.identity in inputs.unpacked for each in packages)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a package's paths, for one process to place; the first one has the commands too."""

    number: int = 0
    count: int = 1

    def of(self, manifest: CondaManifest) -> Sequence[CondaPath]:
        """Return the paths of this part."""
        length = len(manifest.paths)
        return manifest.paths[length * self.number // self.count : length * (self.number + 1) // self.count]


def packed_entries(
    manifest: CondaManifest, site_packages: str, scripts: str, part: Part | None = None
) -> Iterator[tuple[CondaPath, Entry]]:
    """Yield each path of a package, or of a part of it, as it is packed, with its path in the prefix.

    A file with a placeholder has no sha256, for its content depends on the prefix.
    """
    for path in manifest.paths if part is None else part.of(manifest):
        installed = linked_path(path.path, site_packages, scripts) if manifest.noarch == "python" else path.path
        if path.kind != "file":
            fingerprint = Fingerprint(kind=path.kind, link=path.link)
        else:
            is_as_packed = path.prefix_placeholder is None
            fingerprint = Fingerprint(
                kind="file",
                sha256=path.sha256 if is_as_packed else None,
                size=path.size if is_as_packed else None,
                mode=path.mode & ~_LOOSE_BITS,
            )
        yield path, Entry(path=installed, fingerprint=fingerprint)


def link_package(
    inputs: StageInputs,
    staging: Path,
    manifest: CondaManifest,
    contents: Contents,
    others: Collection[str],
    site_packages: str,
    placer: Placer,
    part: Part,
) -> tuple[Entry, ...]:
    """Write a part of a package below `staging`, without its record; return what `packed_entries` does not foresee:
    files with the prefix in them, and commands.

    :param others: paths that other packages write.

    Raises `IntegrityError` (`record-hash`: the content changed after its check; the files are removed),
    `UnsafeInputError` (`prefix-too-long`), and what `bridge.fs.write_file` raises.
    """
    layout = inputs.plan.target.layout
    generated: list[Entry] = []
    written: list[str] = []
    with fs.WritableTree(staging) as tree:
        try:
            for path, entry in packed_entries(manifest, site_packages, layout.scripts, part):
                if entry.path in others:
                    continue
                if entry.fingerprint.kind == "directory":
                    tree.make_directory(entry.path)
                    continue
                if entry.fingerprint.kind == "symlink":
                    tree.symlink(entry.path, entry.fingerprint.link or "")
                elif path.prefix_placeholder is None:
                    sha256 = placer.place(tree, entry.path, contents, path.path, entry.fingerprint, is_own=path.no_link)
                    _compare(manifest, path, sha256)
                else:
                    data = _filled(manifest, path, contents, str(inputs.plan.prefix))
                    script = fs.write_file(tree, entry.path, [data], mode=entry.fingerprint.mode or 0o644)
                    generated.append(Entry(path=entry.path, fingerprint=script))
                written.append(entry.path)
            python = None if part.number else inputs.plan.python
            for command, data in _commands(manifest, inputs.plan.prefix, python, layout.scripts):
                if command not in others:
                    script = fs.write_file(tree, command, [data], mode=_SCRIPT_MODE)
                    written.append(command)
                    generated.append(Entry(path=command, fingerprint=script))
        except IntegrityError:
            for each in written:
                tree.unlink(each)
            raise
    return tuple(generated)


def _compare(manifest: CondaManifest, path: CondaPath, sha256: str | None) -> None:
    if sha256 != path.sha256:
        raise changed(manifest.filename, f"path: {path.path}", f"checked: {path.sha256}", f"read: {sha256}")


def _filled(manifest: CondaManifest, path: CondaPath, contents: Contents, prefix: str) -> bytes:
    """Return a file's content with the prefix instead of the placeholder."""
    data = b"".join(contents.blocks(path.path))
    _compare(manifest, path, hashlib.sha256(data).hexdigest())
    text, packed = path.prefix_placeholder or "", path.sha256 or ""
    filled = fill(data, Placeholder(text=text, is_binary=path.file_mode == "binary", packed=packed), prefix)
    if filled is None:
        raise UnsafeInputError("prefix-too-long", f"{manifest.filename}: {path.path} has no room for {prefix}")
    return filled


def _commands(
    manifest: CondaManifest, prefix: Path, python: Python | None, scripts: str
) -> Iterator[tuple[str, bytes]]:
    """Yield the commands of a noarch python package, as rattler writes them."""
    if manifest.noarch != "python" or python is None:
        return
    major, minor = python.minor
    first = replaced(f"#!/\1prefix/bin/python{major}.{minor}".encode(), b"/\1prefix", str(prefix).encode())
    for text in manifest.entry_points:
        point = parse_entry_point(text, "console_scripts", manifest.filename, "info/link.json")
        script = _COMMAND.format(module=point.module, name=point.attribute.partition(".")[0], attribute=point.attribute)
        yield f"{scripts}/{point.name}", first + b"\n" + script.encode()


def record_document(
    manifest: CondaManifest, staged: Mapping[str, Fingerprint], site_packages: str, scripts: str
) -> dict[str, object]:
    """Return `files` and `paths_data` of a record, as rattler writes them.

    :param staged: the package's files in the prefix, commands included.
    """
    items: dict[str, dict[str, object]] = {}
    for path, entry in packed_entries(manifest, site_packages, scripts):
        items[entry.path] = _item(path, entry.path)
    for name, fingerprint in staged.items():
        if name not in items:
            items[name] = {
                "_path": name,
                "path_type": "unix_python_entry_point",
                "sha256": fingerprint.sha256,
                "size_in_bytes": fingerprint.size,
            }
    names = sorted(items, key=lambda name: name.split("/"))  # as rattler orders paths
    return {"files": names, "paths_data": {"paths": [items[name] for name in names], "paths_version": 1}}


def _item(path: CondaPath, installed: str) -> dict[str, object]:
    if path.kind == "directory":
        return {"_path": installed, "path_type": "directory"}
    item: dict[str, object] = {"_path": installed, "path_type": "softlink" if path.kind == "symlink" else "hardlink"}
    if path.no_link:
        item["no_link"] = True
    if path.sha256 is not None:
        item["sha256"] = path.sha256
    if path.prefix_placeholder is not None:
        item["sha256_in_prefix"] = path.sha256  # of the packed file; the caller knows the one in the prefix
    elif path.kind == "symlink":
        item["sha256_in_prefix"] = hashlib.sha256((path.link or "").encode()).hexdigest()
    if path.size is not None:
        item["size_in_bytes"] = path.size
    if path.prefix_placeholder is not None:
        item |= {"file_mode": path.file_mode, "prefix_placeholder": path.prefix_placeholder}
    return item
