"""The joint resolver: conda packages and wheels in one candidate space (decision 0004)."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from resolvelib import ResolutionTooDeep

from bridge.errors import NoSolutionError
from bridge.model import Resolution
from bridge.resolve.candidates.catalog import Catalog
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.loader import Loader
from bridge.resolve.encode.space import Space
from bridge.resolve.search.budget import Budget
from bridge.resolve.search.joint import Reporter, Unsolvable, Watcher, run
from bridge.resolve.search.request import SolveRequest, Standing
from bridge.resolve.search.solution import solution
from bridge.resolve.sources import IndexPort, Options, RecordPort

if TYPE_CHECKING:
    from bridge.resolve.search.conflict import RefutedRequest

__all__ = ["SEARCHED", "Catalog", "IndexPort", "Options", "RecordPort", "SolveRequest", "Standing", "resolve"]

MAX_ROUNDS = 200_000
SEARCHED = "searched"
"""The key in a `NoSolutionError`'s objects of the seconds of its patience that the search used up."""


def resolve(request: SolveRequest, catalog: Catalog, watcher: Watcher | None = None) -> Resolution:
    """Find the preferred set of candidates that meets a request on the catalog's target.

    :param catalog: the known names and projects; several calls may share it.
    :param watcher: called with every pin.

    Costs one query per batch of names, one page per project without conda records, and METADATA of few wheels. Raises
    `NoSolutionError` with a derivation, or after `Options.patience` seconds with what was learned, and `NetworkError`
    if a channel or an index does not answer.
    """
    started = time.perf_counter()
    collecting = gc.isenabled()
    gc.disable()  # a search makes no cycles; scanning its clauses for them would add half of its time
    try:
        return _resolve(request, catalog, watcher, started)
    finally:
        if collecting:
            gc.enable()


def _resolve(request: SolveRequest, catalog: Catalog, watcher: Watcher | None, started: float) -> Resolution:
    space = Space(catalog, _kept_candidates(catalog, request.standing.kept), request.standing.agreed)
    encoder, reporter = Encoder(space), Reporter(space, watcher)
    loader = Loader(encoder)
    patience = catalog.options.patience
    budget = Budget(catalog, rounds=MAX_ROUNDS, seconds=patience if request.patience is None else request.patience)
    try:
        pins = run(loader, request.encode(encoder), reporter, budget)
    except Unsolvable as verdict:
        from bridge.resolve.search.conflict import RefutedRequest  # noqa: PLC0415 - only an error is explained

        raise _refuted(RefutedRequest(request, space, verdict.proof, reporter.rounds, budget), budget) from None
    except ResolutionTooDeep:
        from bridge.resolve.explain.stopped import search_stopped  # noqa: PLC0415 - as above

        seconds = patience if budget.left <= 0 else budget.seconds - budget.left
        error = search_stopped(space, request.asked, rounds=reporter.rounds, seconds=seconds)
        raise _searched(error, budget.seconds) from None
    return solution(loader, pins, reporter, started)


def _refuted(refuted: RefutedRequest, budget: Budget) -> NoSolutionError:
    """The explained error. Made here, since a local variable of the frame that raises it would be a cycle."""
    spent = budget.seconds - budget.left
    return _searched(refuted.explained(), spent)


def _searched(error: NoSolutionError, seconds: float) -> NoSolutionError:
    """The error with what the search used up of its patience: all of it, if the search was stopped."""
    error.objects = {**error.objects, SEARCHED: seconds}
    return error


def _kept_candidates(catalog: Catalog, kept: Mapping[str, str]) -> dict[str, int]:
    """Map variable names to the masks of installed candidates; a wheel is kept in its own and in its conda variable."""
    masks: dict[str, int] = {}
    for name, identity in kept.items():
        if name.startswith("pypi:"):
            project = name.removeprefix("pypi:")
            for place, file in enumerate(catalog.project(project).files):
                if file.filename == identity:
                    masks[name] = 2 << place
            for provider in catalog.providers(project):
                conda = catalog.conda(provider)
                if conda.wheel_project == project:
                    masks[provider] = conda.wheel_bit
        else:
            for place, record in enumerate(catalog.conda(name).records):
                if record.identity == identity:
                    masks[name] = 2 << place
    return masks
