"""The package indexes of one run, from options and from bridge's and pip's configuration.

The order in which indexes serve:

1. the index of `--index-url` (or `BRIDGE_INDEX_URL`), then those of `--extra-index-url`; with `--index-url`, no
   configured index is asked;
2. the indexes of requirement files, in the same order within each file (`bridge.cli.commands.request`); a file's
   `--index-url` replaces the configured indexes;
3. the configured indexes: `index-url` of bridge's files, else of pip's, then `extra-index-url` likewise. The default
   index comes last, so that a private project is never looked up in the public index first (dependency confusion).

With `--index-strategy first` the first index that has a project serves it alone; with `best` all do, as in pip.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from bridge.config.locations import public_locations
from bridge.secrets import masked
from converters.deferred import dataclass, regex
from converters.projects import canonicalize_name

if TYPE_CHECKING:
    from bridge.config.lookup import Lookup
    from bridge.config.pip import PipConfiguration

__all__ = ["IndexSettings", "IndexStrategy", "default_index", "load_indexes"]

IndexStrategy = Literal["first", "best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """Package indexes, highest priority first, without secrets.

    :param urls: all of them. `default`: those of `urls` that are only configured.
    :param of_projects: normalised project → the URL of the only index that may serve it.
    :param is_none: the user wants no index at all, only `find_links`.
    """

    urls: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    of_projects: Mapping[str, str] = field(default_factory=dict)
    strategy: IndexStrategy = "first"
    find_links: tuple[str, ...] = ()
    is_none: bool = False


def load_indexes(ask: Lookup, pip: PipConfiguration) -> IndexSettings:
    """Return the indexes of this run. Raises `UsageError` (`option-value`)."""
    strategy = cast("IndexStrategy", ask.choice("index_strategy", get_args(IndexStrategy), "first"))
    given, configured = ask.given, ask.configured
    named, extra = given.string("index_url"), given.strings("extra_index_url")
    links = given.strings("find_links")
    if named is None:
        links = _unique((*links, *(configured.strings("find_links") or pip.values("find-links"))))
    links = public_locations(ask, "find_links", links)
    of_projects = _of_projects(ask)
    without = ask.flag("no_index") if ask.source("no_index") else pip.flag("no-index")
    is_typed = given.source("no_index") is not None
    if without and (is_typed or (named is None and not extra and not of_projects)):
        return IndexSettings(strategy=strategy, find_links=links, is_none=True)
    typed = _unique(() if named is None else (named,), extra)
    default = () if named is not None or without else _configured(configured, pip)
    return IndexSettings(
        urls=public_locations(ask, "index_url", _unique(typed, default)),
        default=public_locations(ask, "index_url", (url for url in default if url not in typed)),
        of_projects=of_projects,
        strategy=strategy,
        find_links=links,
    )


def _configured(configured: Lookup, pip: PipConfiguration) -> tuple[str, ...]:
    """The indexes of configuration files; each key of bridge's beats the same key of pip's."""
    extra = configured.strings("extra_index_url") or pip.values("extra-index-url")
    if (named := configured.string("index_url") or pip.value("index-url", "pypi-url")) is not None:
        return (named, *extra)
    return (*extra, default_index())


def _of_projects(ask: Lookup) -> dict[str, str]:
    """Parse `--index NAME=URL`; the last value for a project counts."""
    urls: dict[str, str] = {}
    for text in ask.bindings("index"):
        name, _, url = text.partition("=")
        try:
            project = str(canonicalize_name(name.strip(), validate=True))
        except ValueError:
            project = ""
        if not project or not url.strip():
            hint = (
                "--index-url URL or --extra-index-url URL names an index for every project" if "://" in text else None
            )
            expected = "of the form NAME=URL: a project and the only index that may serve it"
            raise ask.wrong("index", masked(text), expected, hint=hint)
        (urls[project],) = public_locations(ask, "index", (url.strip(),))
    return urls


_ENDPOINT = regex(r'^PYPI_SIMPLE_ENDPOINT\b[^=\n]*= *"([^"\\\n]+)"$', re.MULTILINE)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for group in groups for url in group))


def default_index() -> str:
    """The URL of the default index: a constant of pypi-simple.

    Importing that package takes a quarter of a second, so the constant is read from its source if possible.
    """
    spec = importlib.util.find_spec("pypi_simple")
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        stated = _ENDPOINT.search(Path(spec.origin).read_text("utf-8"))
        if stated is not None:
            return stated[1]
    return str(importlib.import_module("pypi_simple").PYPI_SIMPLE_ENDPOINT)
