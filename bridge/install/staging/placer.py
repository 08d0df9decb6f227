"""Place files whose content is known: copied, cloned or hard-linked from the cache (`--link-mode`)."""

from __future__ import annotations

from pathlib import Path
from typing import final

from bridge import fs
from bridge.cache.aligned import is_aligned
from bridge.cache.contents import Contents
from bridge.errors import FaultError
from bridge.fs.linking import LinkMode, SharedFiles, clone_file, copy_file
from bridge.model import Fingerprint

__all__ = ["Placer"]

_LINKED = "linked"


@final
class Placer:
    """Places files by one link mode. What a mode cannot do is copied; `has_copied` tells so. Not thread-safe.

    :param is_synced: a sync follows, so the disk may begin to write.
    :param cache: has the files to which hard links lead; without one, files are copied.
    :param can_share: whether to try clones or hard links at all: the environment may have refused them before.
    """

    def __init__(self, mode: LinkMode, cache: Path | None, *, can_share: bool = True, is_synced: bool = False) -> None:
        self.has_copied = False
        self._is_synced = is_synced
        self._trusts = mode in {"auto", "clone"}
        self._clones = self._trusts and can_share
        self._directory = cache / _LINKED if cache is not None and mode == "hardlink" and can_share else None
        self._shared: SharedFiles | None = None

    def __enter__(self) -> Placer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shared is not None:
            self._shared.close()

    def place(
        self,
        tree: fs.WritableTree,
        path: str,
        contents: Contents,
        name: str,
        expected: Fingerprint,
        *,
        is_own: bool = False,
    ) -> str | None:
        """Create `path` with the member `name`; return its sha256. If that is not the expected one, there is no file.

        :param is_own: never a hard link, as bytecode and the records of distributions.

        It is not computed of a clone, nor with these modes of a copy: the cache was checked when it was made, and its
        time says that nobody wrote to it. Raises as `bridge.fs.write_file`.
        """
        mode, size = expected.mode or 0o644, expected.size
        if self._directory is not None and size is not None and not (is_own or _is_record(path)):
            sha256 = self._link(tree, path, contents, name, expected)
            if sha256 is not None:
                return sha256
        if self._trusts and size is not None and (source := contents.source(name)) is not None:
            if self._clones and is_aligned(size):
                if clone_file(tree, path, *source, size, mode=mode):
                    return expected.sha256
                self._clones, self.has_copied = False, True
            if copy_file(tree, path, *source, size, mode=mode, is_synced=self._is_synced):
                return expected.sha256
        sha256 = fs.write_file(tree, path, contents.blocks(name), mode=mode).sha256
        if sha256 != expected.sha256:
            tree.unlink(path)
        return sha256

    def _link(
        self, tree: fs.WritableTree, path: str, contents: Contents, name: str, expected: Fingerprint
    ) -> str | None:
        """As `place`; `None`, now and from now on, if there can be no hard links."""
        if self._directory is None:
            return None
        try:
            self._shared = self._shared or SharedFiles(self._directory)
            sha256 = self._shared.place(tree, path, lambda: contents.blocks(name), expected)
        except FaultError:  # The cache cannot be written; what is wrong with the environment will come again.
            sha256 = None
        if sha256 is None:
            self._directory, self.has_copied = None, True
        return sha256


def _is_record(path: str) -> bool:
    """Whether python or installers write to the file, or commands watch it.

    A further name moves `ctime`: with each new environment, all others would read their records again.
    """
    return path.endswith(".pyc") or path.rpartition("/")[0].endswith((".dist-info", ".egg-info"))
