"""Packed files with a prefix placeholder, kept in the cache for conda-pack (decision 0011).

conda-pack reads a package's files from its record's `link.source`, conda's unpacked package, and writes the new prefix
into them when its archive is unpacked. Without that directory it warns, and binary files keep the old prefix. bridge
keeps no unpacked packages, so its cache has what conda-pack reads: the files with a placeholder, an `info/paths.json`
that lists them, and an `info/link.json` that makes conda-pack take all other files from the environment. Packages
without a placeholder, and wheels, share one such directory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

from bridge import fs
from bridge.archive.conda import CondaManifest, CondaPath
from bridge.cache.packages import unpacked_package
from bridge.errors import FaultError, IntegrityError
from bridge.install.staging.inputs import StageInputs
from bridge.prefix.claims import incoming

__all__ = ["Originals", "is_of_bridge"]

_PART = "originals"
_PLAIN = "plain"
# "python": conda-pack adds the record's paths that paths.json does not list, from the environment.
_LINK = {"noarch": {"type": "python"}, "package_metadata_version": 1}
_OF_NOARCH = ("site-packages/", "python-scripts/")  # conda-pack moves these


@final
class Originals:
    """The directories in the cache; without a writable cache, a record has no source."""

    def __init__(self, cache: Path | None) -> None:
        self._directory = cache / _PART if cache is not None else None
        self._plain = ""

    def plain(self) -> str:
        """Return the directory for packages without placeholders; empty if there is none."""
        self._plain = self._plain or self._kept(_PLAIN, (), None)
        return self._plain

    def keep(self, inputs: StageInputs, unpacked: Mapping[str, Path]) -> dict[str, str]:
        """Keep the files with a placeholder of the plan's conda packages: `Record.identity` -> `link.source`.

        :param unpacked: `Record.identity` -> its unpacked archive, a directory or a file of the cache; rattler replaces
            placeholders in copies only.
        """
        kept = {}
        for each in incoming(inputs.plan):
            manifest = inputs.manifests.get(each.record.identity)
            if not isinstance(manifest, CondaManifest):
                continue
            yielded = inputs.judgement.yielded.get(each.record.identity, frozenset())
            paths = [path for path in manifest.paths if _has_placeholder(path, manifest) and path.path not in yielded]
            name = f"{each.record.identity}-{(each.record.sha256 or '')[:16]}"
            if not paths:
                kept[each.record.identity] = self.plain()
            elif not yielded and each.record.sha256:
                kept[each.record.identity] = self._kept(name, paths, unpacked.get(each.record.identity))
        return kept

    def _kept(self, name: str, paths: Sequence[CondaPath], unpacked: Path | None) -> str:
        if self._directory is None:
            return ""
        target = self._directory / name
        if (target / "info/paths.json").is_file():
            return str(target)
        aside = self._directory / f"{name}.{os.urandom(8).hex()}.bridge-tmp"
        try:
            fs.make_directories(aside)
            with fs.WritableTree(aside) as tree, _reader(unpacked) as source:
                for path in paths:
                    if source is not None:
                        mode = 0o755 if path.is_executable else 0o644
                        fs.write_file(tree, path.path, source(path.path), mode=mode)
                listed = {"paths": [_listed(path) for path in paths], "paths_version": 1}
                fs.write_file(tree, "info/paths.json", [json.dumps(listed).encode()])
                fs.write_file(tree, "info/link.json", [json.dumps(_LINK).encode()])
            if not fs.publish_directory(aside, target):
                fs.remove_tree(aside)  # Another process was faster.
        except (FaultError, IntegrityError, OSError):
            with suppress(FaultError):
                fs.remove_tree(aside)
            return ""
        return str(target)


@contextmanager
def _reader(unpacked: Path | None) -> Iterator[Callable[[str], Iterable[bytes]] | None]:
    """Yield what reads a file of an unpacked package; `None` without one."""
    if unpacked is None:
        yield None
    elif unpacked.is_dir():
        yield lambda path: [fs.read_regular(unpacked / path, root=unpacked)]
    else:
        with unpacked_package(unpacked) as contents:
            yield contents.blocks


def is_of_bridge(source: object) -> bool:
    """Whether a record's `link.source` is one that bridge writes: none, or a directory of its cache."""
    return isinstance(source, str) and (source == "" or Path(source).parent.name == _PART)


def _has_placeholder(path: CondaPath, manifest: CondaManifest) -> bool:
    is_placed_elsewhere = path.path.startswith(_OF_NOARCH) and manifest.noarch != "python"
    return path.kind == "file" and path.prefix_placeholder is not None and not is_placed_elsewhere


def _listed(path: CondaPath) -> dict[str, object]:
    return {
        "_path": path.path,
        "path_type": "hardlink",
        "prefix_placeholder": path.prefix_placeholder,
        "file_mode": path.file_mode,
        "sha256": path.sha256,
        "size_in_bytes": path.size,
    }
