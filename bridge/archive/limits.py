"""How large an archive, and what is in it, may be before it is refused. Sizes are in bytes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]

_KIB = 1 << 10
_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one archive. Every one of them is checked before, or while, the bytes concerned are read.

    :param entries: members of one zip or tar.
    :param ratio: content per packed byte, judged once the content exceeds `ratio_free` bytes.
    :param tar_ratio: the same of a tar that is packed as one stream, where each file is packed by what the others have:
        the 1,900 modules of kubernetes 37 become 75 times as many bytes.
    :param directory: of a zip's central directory.
    :param depth: components of a member's name. `name` is the whole name, `component` one part of it, in UTF-8 bytes.
    :param info_depth: the same below a conda package's `info/`, which is unpacked and not installed; so is `info_name`.
        rattler-build packs a recipe's whole folder, its own build folders included. `long_infos`: how many members may
        be longer or deeper than `name` and `depth` allow, for the memory's sake.
    :param metadata: METADATA; `record`, `entry_points` and `wheel` are the dist-info files of those names.
    :param paths_json: paths.json, and what stood in its place before it (`files`, `has_prefix`, `no_link`).
    :param document: any other JSON document (about.json, link.json, metadata.json).
    :param json_depth: how deep JSON may nest.
    :param zstd_window: what a zstd decoder must keep in memory.
    """

    entries: int = 200_000
    member_size: int = 8 * _GIB
    total_size: int = 32 * _GIB
    ratio: int = 50
    tar_ratio: int = 250
    ratio_free: int = 64 * _MIB
    directory: int = 64 * _MIB
    name: int = 1024
    component: int = 255
    depth: int = 64
    info_name: int = 3072
    info_depth: int = 256
    long_infos: int = 256
    metadata: int = _MIB
    record: int = 64 * _MIB
    entry_points: int = _MIB
    wheel: int = 64 * _KIB
    index_json: int = _MIB
    paths_json: int = 256 * _MIB
    document: int = 16 * _MIB
    json_depth: int = 64
    zstd_window: int = 128 * _MIB


DEFAULT_LIMITS = Limits()
