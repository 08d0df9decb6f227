"""Files that map conda names to PyPI names: the one of `--name-map`, and those of channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import UnsafeInputError, UsageError
from bridge.fetch.urls import local_path
from bridge.paths import NAMES_FILE
from bridge.secrets import masked

if TYPE_CHECKING:
    from bridge.fetch.client import Client

__all__ = ["NameFiles", "default_names"]

_SHIPPED = Path(__file__).parents[1] / "data" / "names.json"
_MAX_NAME_MAP = 64 << 20  # bytes; the largest public one has 3 MB


def default_names() -> dict[str, list[str]]:
    """The shipped name map: conda names that differ from PyPI's, and names with two meanings."""
    names: dict[str, list[str]] = json.loads(_SHIPPED.read_bytes())
    return names


class NameFiles:
    """The name maps of a run. All methods raise `UnsafeInputError` (`name-map`, `limit-size`) and `NetworkError`.

    :param client: called when the first file is read.
    """

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        self._known: dict[str, Mapping[str, object]] = {}

    def named(self, source: str) -> Mapping[str, object]:
        """The rows of a file or URL. Raises `UsageError` (`name-map`) if there is none."""
        rows = self._rows(source if "://" in source else str(Path(source).absolute()), source)
        if rows is None:
            raise UsageError(
                "name-map", f"there is no name map at {source}", hint="check the path or URL given with --name-map"
            )
        return rows

    def of_directories(self, channels: Sequence[str]) -> dict[str, object]:
        """The rows of those channels that are local directories, highest priority first."""
        folders = [local_path(url) for url in channels if "://" in url]
        files = [Path(folder) / NAMES_FILE for folder in folders if folder is not None]
        return _joined(self.named(str(file)) for file in files if file.is_file())

    def of_network_channels(self, urls: Sequence[str], tell: Callable[[str], None]) -> dict[str, object]:
        """The rows of the maps at `urls`, which channels state, highest priority first; each is asked for once."""
        for url in urls:
            if url not in self._known:
                rows = self._rows(url, masked(url))
                if rows is None:
                    tell(f"the channel says that it has a name map, but there is none at {masked(url)}")
                self._known[url] = rows or {}
        return _joined(self._known[url] for url in urls)

    def _rows(self, place: str, source: str) -> Mapping[str, object] | None:
        page = self._client().get(place, max_bytes=_MAX_NAME_MAP)
        if page is None:
            return None
        from bridge.index.strict_json import parse_json

        try:
            table = parse_json(page.content, source)
        except UnsafeInputError as error:
            raise UnsafeInputError("name-map", f"{source} is not a name map", context=(error.message,)) from error
        if not isinstance(table, dict):
            raise UnsafeInputError("name-map", f"{source}: a name map is an object: conda name -> list of PyPI names")
        return table


def _joined(tables: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Join tables, the first one first; unconfirmed rows yield to rows of any later one."""
    joined: dict[str, object] = {}
    for later in tables:
        unconfirmed = {name: row for name, row in joined.items() if isinstance(row, Mapping)}
        joined = {**unconfirmed, **later, **{name: row for name, row in joined.items() if name not in unconfirmed}}
    return joined
