"""Where many tasks are done: here, in processes of this machine, or on a Dask cluster, behind one Executor.

`concurrent.futures.Executor` is the interface of all three. What is submitted, and what comes back, crosses processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar, cast

from bridge.errors import NetworkError, UsageError

__all__ = ["executor"]

_Result = TypeVar("_Result")
_PATIENCE = "10s"  # to wait for a cluster's scheduler


class _Here(Executor):
    """Does each task when it is submitted, in this thread."""

    def submit(self, task: Callable[..., _Result], /, *args: object, **options: object) -> Future[_Result]:
        future: Future[_Result] = Future()
        try:
            future.set_result(task(*args, **options))
        except Exception as error:  # noqa: BLE001 - a future holds whatever its task raised
            future.set_exception(error)
        return future


@contextmanager
def executor(jobs: int = 1, dask: str | None = None) -> Iterator[Executor]:
    """The executor for a command's tasks; when the block is left, tasks that have not begun never do.

    :param jobs: processes on this machine; 1: none but this one.
    :param dask: a scheduler's address (`tcp://host:8786`); it decides how many workers there are.

    Raises `UsageError` (`dask-missing`) and `NetworkError` (`dask-unreachable`).
    """
    if dask is not None:
        with _dask(dask) as found:
            yield found
    elif jobs == 1:
        yield _Here()
    else:
        # Fresh interpreters: a copy of this one would hold locks of threads that it does not have.
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(
            "dask-missing", "--dask needs the package `distributed`", hint="pip install 'conda-bridge[dask]'"
        ) from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise NetworkError(
            "dask-unreachable",
            f"no Dask scheduler answers at {address}",
            context=(str(error),),
            hint="an address looks like tcp://host:8786; `dask scheduler` prints its own",
        ) from error
    with client:
        yield cast("Executor", client.get_executor(pure=False))  # type: ignore[no-untyped-call]
