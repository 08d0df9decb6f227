"""Limits on the size of an archive and its content. Sizes are in bytes."""

from __future__ import annotations

from converters.deferred import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]

_KIB = 1 << 10
_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one archive, checked before or while the bytes are read.

    :param entries: members of one zip or tar.
    :param ratio: content per packed byte, checked above `ratio_free` bytes of content.
    :param tar_ratio: the same for a compressed tar; the 1,900 modules of kubernetes 37 have a ratio of 75.
    :param directory: of a zip's central directory.
    :param depth: components of a member's name; `name` is the whole name, `component` one part, in UTF-8 bytes.
    :param info_depth: as `depth`, and `info_name` as `name`, below a conda package's `info/`, which is not installed:
        rattler-build packs a recipe's whole directory there. At most `long_infos` members may need them.
    :param metadata: METADATA; `record`, `entry_points` and `wheel` are the dist-info files of those names.
    :param paths_json: paths.json or its predecessors (`files`, `has_prefix`, `no_link`).
    :param document: any other JSON document (about.json, link.json, metadata.json).
    :param json_depth: how deep JSON may nest.
    :param zstd_window: memory of a zstd decoder.
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
