"""Adds to an error without a solution what other package indexes could serve."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from bridge.errors import BridgeError, NoSolutionError
from bridge.fetch.urls import local_path
from bridge.model import IndexFile
from bridge.resolve.explain.availability import Unmet
from bridge.secrets import Address
from converters.deferred import dataclass

__all__ = ["Indexes", "with_other_indexes"]

_MANY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """The indexes of a run.

    :param urls: highest priority first. `of_projects`: project → its only index. `is_first`: the first index that has a
        project serves it alone.
    :param files: (URL of an index, project) → the files of that index.
    """

    urls: Sequence[str]
    of_projects: Mapping[str, str]
    is_first: bool
    files: Callable[[str, str], Sequence[IndexFile]]


def with_other_indexes(error: NoSolutionError, indexes: Indexes) -> NoSolutionError:
    """Return the error with the indexes that were not asked for the projects that nothing meets, and how to ask them.

    A project that one index has is not looked up in another one on the network, not even to explain: the name may be
    private.
    """
    unmet = error.objects.get("unmet")
    unmet_requirements = [each for each in unmet if isinstance(each, Unmet)] if isinstance(unmet, tuple) else []
    facts = [fact for each in unmet_requirements for fact in _facts(each, indexes)]
    others = {each.project: other for each in unmet_requirements if (other := _other(each, indexes)) is not None}
    if not facts and not others:
        return error
    hint = " or ".join(f"--index {shlex.quote(f'{project}={_public(url)}')}" for project, url in others.items())
    if hint:
        hint = f"take the project from another index with {hint}"
        if indexes.is_first and not indexes.of_projects.keys() & others.keys():
            hint += ", or let all indexes serve it with --index-strategy best"
    hints = [text for text in (hint, error.hint) if text]
    return NoSolutionError(
        error.id,
        error.message,
        context=(*error.context, *facts),
        hint=", or ".join(hints) or None,
        objects=error.objects,
    )


def _facts(unmet: Unmet, indexes: Indexes) -> Iterator[str]:
    project = unmet.project
    if project in indexes.of_projects:
        yield f"{project} comes from {_public(indexes.of_projects[project])} alone, because --index or a file says so"
        return
    serving = next((url for url in indexes.urls if url in unmet.origins), None)
    if serving is None:
        if len(indexes.urls) > 1:
            yield f"searched for {project}: {', '.join(map(_public, indexes.urls))}"
    elif indexes.is_first:
        others = [url for url in indexes.urls if url != serving]
        local = [url for url in others if local_path(url) is not None]
        known = {url: of_index for url in local if (of_index := _versions(indexes, url, unmet))}
        for url, versions in known.items():
            served = f"{_public(serving)} comes first and serves it alone"
            yield f"{_public(url)} has {project} {_range(versions)}, but {served}"
        later = [url for url in indexes.urls[indexes.urls.index(serving) + 1 :] if local_path(url) is None]
        if later and not known:
            asked = " and ".join(map(_public, later))
            yield f"{_public(serving)} comes first and has {project}, so {asked} was not searched for it"


def _other(unmet: Unmet, indexes: Indexes) -> str | None:
    """Return another index that may serve a project: a local one that has it, else the next one."""
    bound = indexes.of_projects.get(unmet.project)
    if bound is not None:
        later = [url for url in indexes.urls if url != bound]
    else:
        serving = next((url for url in indexes.urls if url in unmet.origins), None)
        later = list(indexes.urls[indexes.urls.index(serving) + 1 :]) if serving and indexes.is_first else []
    return next((url for url in later if local_path(url) is None or _versions(indexes, url, unmet)), None)


def _versions(indexes: Indexes, url: str, unmet: Unmet) -> list[str]:
    """Return the versions on a local index that meet the requirement."""
    files: Sequence[IndexFile] = ()
    with suppress(BridgeError):  # a failing index must not hide the original error
        files = indexes.files(url, unmet.project)
    wanted = unmet.requirement
    return list(dict.fromkeys(file.version for file in files if wanted is None or wanted.accepts(file.version)))


def _range(versions: Sequence[str]) -> str:
    return ", ".join(versions) if len(versions) <= _MANY else f"{versions[-1]} to {versions[0]}"


def _public(url: str) -> str:
    return Address.of(url).public if "://" in url else url
