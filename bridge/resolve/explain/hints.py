"""What the user can change about a request without a solution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from bridge.errors import BuildError
from bridge.resolve.candidates.projects import POLICY
from bridge.resolve.encode.facts import (
    Barred,
    Constraint,
    Fact,
    NeedsPython,
    NoExtra,
    Only,
    Pinned,
    PinnedByConfiguration,
    Requested,
    RequestedPython,
    Tags,
    TooNew,
    Unreadable,
    Virtual,
    Yanked,
)
from bridge.resolve.encode.space import Space
from bridge.resolve.explain.availability import Availability, Unmet
from bridge.resolve.explain.sentences import virtual_name
from bridge.resolve.explain.targets import ways_to_targets
from converters.deferred import regex

__all__ = ["hint_of"]

_OF_FILES = {
    RequestedPython: "loosen Requires-Python",
    Pinned: "change conda-meta/pinned",
    PinnedByConfiguration: "change pinned_packages in the .condarc file",
}
_HAS_EXTRA = regex(r"[A-Za-z0-9][\w.-]*\s*\[")


def hint_of(facts: Sequence[Fact], space: Space, availability: Availability, instead: Sequence[str] = ()) -> str:
    """Return the hint, by the kinds of facts in the proof and the reasons why files are excluded.

    :param instead: requests that a search has shown to work in place of refuted ones.
    """
    failures = [space.failures.get(fact.text) for fact in facts if isinstance(fact, Unreadable)]
    stated = [error for error in failures if isinstance(error, BuildError) or (error and error.id == "hash-missing")]
    successors = dict.fromkeys(error.hint for error in stated if error.hint and error.objects.get("instead"))
    asked = [f"ask for `{text}`" for text in instead]
    ways = ", or ".join((*successors, *asked, *_ways(facts, space, availability)))
    hint = ways or "add a channel with -c or an index with --extra-index-url"
    others = dict.fromkeys(error.hint for error in stated if error.hint and not successors)
    return "; ".join([hint, *others])


def _ways(facts: Sequence[Fact], space: Space, availability: Availability) -> Iterator[str]:
    kinds, excluded = {type(fact) for fact in facts}, availability.excluded
    requested = dict.fromkeys(fact.text for fact in facts if type(fact) is Requested)
    yield from _ways_to_files(kinds, space, availability)
    if requested and "hash" not in excluded:  # without its hash, an unknown file would be taken
        yield f"loosen or leave out {' or '.join(f'`{text}`' for text in requested)}"
    lacked = [fact.text for fact in facts if isinstance(fact, Virtual)]
    specs = [text for text in (*lacked, *requested) if virtual_name(text)]
    yield from ways_to_targets(space.catalog.target, specs, excluded.get("platform", ()))
    barred = [
        (space.variables[fact.subject].key, fact.text)
        for fact in facts
        if isinstance(fact, Only) and fact.subject is not None
    ]
    barred += [(name, "wheel") for name, unmet in availability.unmet.items() if _has_record(name, unmet, space)]
    for name, ecosystem in dict.fromkeys(barred):
        yield f"leave out --only {name}={ecosystem}"
    if NeedsPython in kinds and not space.catalog.conda("python").records:
        yield "add a channel that has python with -c, as -c host does"
    if Tags in kinds:
        yield "name an index that has files for this python with --index-url (the first that has a project serves it)"
    if "foreign" in excluded:
        yield "let bridge own the packages of other installers, so that it can replace them: bridge adopt"
    if constraints := dict.fromkeys(fact.text for fact in facts if isinstance(fact, Constraint)):
        yield f"loosen {' or '.join(f'`{text}`' for text in constraints)} in your constraints"
    yield from (way for kind, way in _OF_FILES.items() if kind in kinds)
    if NoExtra in kinds:
        yield from (f"take the wheel: ask for `pypi:{text}`" for text in requested if _HAS_EXTRA.match(text))


def _has_record(name: str, unmet: Unmet, space: Space) -> bool:
    """Return whether a record of this name would meet a request that `--only` leaves to an index."""
    catalog, wanted = space.catalog, unmet.requirement
    if wanted is None or wanted.kind != "either" or catalog.options.only.get(name) != "wheel":
        return False
    return any(wanted.accepts(record.version) for record in catalog.conda(name).records)


def _ways_to_files(kinds: set[type[Fact]], space: Space, availability: Availability) -> Iterator[str]:
    """Yield how files that exist can be used."""
    excluded, options = availability.excluded, space.catalog.options
    if "hash" in excluded:
        yield (
            "compare the file with what its publisher states, for it may have been replaced, and only then correct the"
            " hash in the request"
        )
    if Yanked in kinds and availability.yanked:
        texts = dict.fromkeys(f"`{file.project}=={file.version}`" for file in availability.yanked)
        yield f"ask for exactly the yanked version: {' or '.join(list(texts)[:3])}"
    if moments := availability.admitting:
        exceptions = " ".join(f"--exclude-newer {name}={_text(moment)}" for name, moment in moments.items())
        yield f"make an exception with {exceptions}"
    elif "no-time" in excluded:
        yield "leave out --exclude-newer"
    elif TooNew in kinds or options.cooldown.is_on:
        yield "move --exclude-newer"
    if Barred in kinds or any(reason.startswith(POLICY) for reason in excluded):
        yield "change the rule of the policy"
    if "sdist" in excluded:
        yield "leave out --no-build" if options.no_build else "change only-binary in the configuration of pip"
    if "no-binary" in excluded:
        yield "change no-binary in the configuration of pip"


def _text(moment: int) -> str:
    """Return the first whole second after a time in milliseconds, as `--exclude-newer` takes it."""
    return datetime.fromtimestamp(moment // 1000 + 1, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
