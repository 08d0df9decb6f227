"""`bridge search`: what channels and indexes have of a name, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from bridge.cli.session import Session
from bridge.cli.texts import short
from bridge.errors import BridgeError, NoSolutionError, UsageError, did_you_mean
from bridge.model import IndexFile, PrefixState
from bridge.requirements import algebra
from bridge.resolve.offers import Offer, Offers, offers
from bridge.secrets import masked
from converters.deferred import dataclass
from converters.record import Record

__all__ = ["SHOWN", "FoundNames", "rows", "search", "search_names"]

SHOWN = 15
"""How many versions the table shows unless something else is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNames:
    """The names of conda packages that match a pattern."""

    text: str
    names: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge search PATTERN --json` (`bridge/schemas/search.json`)."""
        return {"query": self.text, "names": list(self.names)}


def search(text: str, session: Session, path: Path | None) -> Offers:
    """The offers for a requirement, for the python of an environment if one is named.

    Raises `NoSolutionError` (`unknown-package`) if there are none, `UsageError`, and `NetworkError`.
    """
    requirement = algebra.parse(text)
    if requirement.url is not None:
        raise UsageError(
            "usage", f"{masked(text)} names one file, so there is nothing to search for", hint="give a name"
        )
    state = _state(path, session.settings.cache_dir)
    channels = session.channels(state)
    names = session.names(channels.urls, state)
    catalog = session.catalog(channels, names)
    if state is not None and state.python is not None:
        catalog.target = catalog.target.with_python(state.python)
    offered = offers(requirement, catalog)
    if not offered.conda and not offered.wheels:
        raise _unknown(requirement, channels.texts, session)
    return offered


def search_names(pattern: str, session: Session, path: Path | None, limit: int | None = None) -> FoundNames:
    """The conda packages whose names match a pattern (`*numpy*`). Indexes have no search. Raises as `search`."""
    state = _state(path, session.settings.cache_dir)
    channels = session.channels(state)
    names = sorted(name for name in channels.names() if fnmatchcase(name, pattern.lower()))
    if not names:
        raise NoSolutionError(
            "unknown-package",
            f"no channel has a package whose name matches {pattern!r}",
            context=(f"channels: {', '.join(map(short, channels.texts))}",),
        )
    session.tell_once(["package indexes cannot be searched by a pattern; only channels were"])
    if limit is not None and len(names) > limit:
        session.tell(f"… and {(left := len(names) - limit)} more name{'s' * (left > 1)}")
    return FoundNames(text=pattern, names=tuple(names[:limit]))


def _state(path: Path | None, cache: Path) -> PrefixState | None:
    if path is None:
        return None
    from bridge import prefix

    return prefix.require(path, is_brief=True, cache=cache)


def _unknown(requirement: algebra.Requirement, channels: Sequence[str], session: Session) -> BridgeError:
    name = requirement.name
    try:
        known = frozenset(session.channels().names())
    except BridgeError:
        known = frozenset()
    indexes = (*session.settings.index_urls, *session.settings.find_links)
    return NoSolutionError(
        "unknown-package",
        f"no channel and no index has {requirement.text!r}",
        context=(
            f"channels: {', '.join(map(short, channels)) or 'none'}",
            f"indexes: {', '.join(map(short, indexes)) or 'none'}",
        ),
        hint=did_you_mean(name, known, most=3, cutoff=0.75) or "name more channels with -c, or an index",
    )


def rows(offered: Offers, limit: int | None) -> tuple[list[tuple[str, str, str, str]], int]:
    """The rows of the table, and how many versions are left out: version, conda, index, remark.

    :param limit: how many versions; `None`: all. The one that would be taken is shown besides.
    """
    versions = offered.versions()
    shown = versions[:limit]
    if offered.taken is not None and all(offered.taken not in (*row[1], *row[2]) for row in shown):
        shown += [row for row in versions if offered.taken in (*row[1], *row[2])]
    table = []
    for version, conda, wheels in shown:
        taken = offered.taken is not None and (offered.taken in conda or offered.taken in wheels)
        of_conda = offered.taken is not None and offered.taken in conda
        remark = ("<- conda" if of_conda else "<- wheel") if taken else _obstacle((*conda, *wheels))
        table.append((version, _conda(conda, offered), _wheels(wheels), remark))
    return table, len(versions) - len(shown)


def _obstacle(group: Sequence[Offer]) -> str:
    """Why none of a version's offers can be taken."""
    return group[0].unusable if group and all(each.unusable for each in group) else ""


def _conda(group: Sequence[Offer], offered: Offers) -> str:
    """The builds of a version: the one, or how many; the name if it is another than the first one's."""
    records = [each.candidate for each in group if isinstance(each.candidate, Record)]
    if not records:
        return ""
    first = next((each.candidate for each in group if each is offered.taken or not each.unusable), records[0])
    assert isinstance(first, Record)
    others = f" (+{len(records) - 1})" if len(records) > 1 else ""
    named = f"{first.name} " if first.name != offered.name else ""
    return f"{named}{first.build}{others} {short(first.origin)}"


def _wheels(group: Sequence[Offer]) -> str:
    files = [each.candidate for each in group if isinstance(each.candidate, IndexFile)]
    if not files:
        return ""
    count = sum(file.is_wheel for file in files)
    kinds = [f"{count} wheel{'s' * (count > 1)}"] if count else []
    kinds += ["source"] if count < len(files) else []
    return f"{', '.join(kinds)} {short(files[0].origin)}"
