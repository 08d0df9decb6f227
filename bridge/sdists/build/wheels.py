"""The cache of wheels built on this machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from packaging.tags import sys_tags

from bridge import fs
from bridge.cache.blobs import BlobStore
from bridge.config import Settings
from bridge.errors import BuildError, FaultError
from bridge.faults import faults
from bridge.sdists.build import BuildTree, build_tree, build_wheel
from bridge.sdists.build.project import Requirements
from bridge.sdists.confine.request import Action
from converters.wheel import parse_wheel_name

__all__ = ["BuiltWheels"]


class BuiltWheels:
    """Wheels built on this machine, cached. Thread-safe.

    The key is the sdist's sha256 or the revision of the source code, the interpreter's version and ABI, the platform,
    and the version of pypa/build.
    """

    def __init__(
        self,
        settings: Settings,
        requirements: Callable[[str], Requirements],
        tell: Callable[[str], None],
        building: tuple[str, ...] = (),
    ) -> None:
        """:param requirements: creates, for a key, the port that finds a build's requirements, which may be built too.
        :param tell: receives warnings before a build starts.
        :param building: keys of the builds that contain this one.
        """
        self._requirements, self._tell, self._building = requirements, tell, building
        self._settings = settings
        self._directory = settings.cache_dir / "built"
        self._root = settings.cache_dir
        self._notes = BlobStore(self._directory / "notes", root=self._root)

    def wheel(self, sdist: Path, sha256: str) -> Path:
        """The wheel of an sdist, built if needed. Raises as `build_wheel`, and `BuildError` (`build-cycle`)."""

        def build(work: Path, requirements: Requirements) -> Path:
            return build_wheel(sdist, work=work, settings=self._settings, requirements=requirements, tell=self._tell)

        return self._made(_key(sha256), sdist.name, build)

    def of_tree(self, tree: BuildTree, action: Action, revision: str) -> Path:
        """The wheel, or METADATA, of source code, made unless it was before. Raises as `build_tree`.

        :param revision: changes whenever the result may.
        """

        def build(work: Path, requirements: Requirements) -> Path:
            return build_tree(
                tree, action, work=work, settings=self._settings, requirements=requirements, tell=self._tell
            )

        # The build of an editable wheel may leave parts of it in the folder, which someone may have removed since.
        return self._made(_key(f"{action}\n{revision}"), tree.label, build, is_fresh=action == "editable")

    def _made(
        self, key: str, label: str, build: Callable[[Path, Requirements], Path], *, is_fresh: bool = False
    ) -> Path:
        known = None if self._settings.no_build or is_fresh else self._find(key)
        if known is not None:
            return known
        if key in self._building:
            raise BuildError(
                "build-cycle",
                f"{label} is needed to build itself",
                hint="require a version that has a wheel, or add an index with wheels of the build's requirements",
            )
        work = Path(tempfile.mkdtemp(prefix="bridge-build-"))
        try:
            return self._keep(key, build(work, self._requirements(key)))
        finally:
            with suppress(FaultError):
                fs.remove_tree(work)

    def _path(self, key: str, name: str) -> Path:
        return self._directory / key[:2] / key / name

    def _find(self, key: str) -> Path | None:
        note = self._notes.read(key, _read_note)
        if note is None:
            return None
        path = self._path(key, note[0])
        try:
            return path if fs.hash_regular(path, root=self._root) == note[1] else None
        except OSError:
            return None

    def _keep(self, key: str, wheel: Path) -> Path:
        path = self._path(key, wheel.name)
        with faults(wheel), open(wheel, "rb") as stream:
            sha256 = fs.publish_file(path, stream, root=self._root)
        self._notes.set(key, json.dumps({"name": path.name, "sha256": sha256}).encode())
        return path


def _read_note(note: dict[str, object]) -> tuple[str, object]:
    """(file name, sha256) of a note. Raises `UnsafeInputError` if the name is neither a wheel's nor METADATA."""
    name = str(note["name"])
    if name != "METADATA":
        parse_wheel_name(name)
    return name, note["sha256"]


def _key(sha256: str) -> str:
    made_with = (platform.python_version(), str(next(iter(sys_tags()))), importlib.metadata.version("build"))
    return hashlib.sha256("\n".join((sha256, *made_with)).encode()).hexdigest()
