"""Executors for many jobs: this process, processes on this machine, or a Dask cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from typing import TypeVar, cast

from bridge.errors import NetworkError, UsageError

__all__ = ["executor", "kept_memory", "unsampled"]

_Result = TypeVar("_Result")
_TIMEOUT = "10s"  # for the connection to a scheduler
_TRIM, _MAP = -1, -3  # `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of mallopt(3)
_KEPT, _MAPPED = 64 << 20, 32 << 20  # bytes, the most that glibc itself comes to
_FIRST_MAPPED = 128 << 10  # the threshold of a process that sets the other one


class _InlineExecutor(Executor):
    """Runs each task in this thread when it is submitted."""

    def submit(self, task: Callable[..., _Result], /, *args: object, **options: object) -> Future[_Result]:
        future: Future[_Result] = Future()
        try:
            future.set_result(task(*args, **options))
        except Exception as error:  # noqa: BLE001 - a future holds any exception of its task
            future.set_exception(error)
        return future


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let the allocator keep large blocks that are freed, as it does in other processes.

    Dask starts its workers with `MALLOC_TRIM_THRESHOLD_`. glibc then gives each large block back to the system at once,
    and asks for zeroed pages for the next one: an eighth of the time of a conversion.
    """
    text = os.environ.get("MALLOC_TRIM_THRESHOLD_", "")
    set_option = _mallopt() if text.isdigit() and os.name == "posix" else None
    if set_option is None:
        yield
        return
    set_option(_MAP, _MAPPED)
    set_option(_TRIM, _KEPT)
    try:
        yield
    finally:
        set_option(_MAP, _FIRST_MAPPED)
        set_option(_TRIM, min(int(text), _KEPT))


@contextmanager
def unsampled() -> Iterator[None]:
    """Suspend the profile that Dask makes of this worker; elsewhere this does nothing.

    Its event loop reads the stacks of all tasks a hundred times a second, and interrupts them for it: a thirteenth of
    the time of a conversion.
    """
    library = sys.modules.get("distributed.worker")  # a worker has imported it
    try:
        worker = library.get_worker() if library is not None else None
    except ValueError:  # this process is no worker
        worker = None
    sampling = getattr(worker, "periodic_callbacks", {}).get("profile")
    if worker is None or sampling is None:
        yield
        return

    def resume() -> None:
        if worker.status.name == "running" and not sampling.is_running():
            sampling.start()

    worker.loop.add_callback(sampling.stop)
    try:
        yield
    finally:
        with suppress(RuntimeError):  # the loop has ended
            worker.loop.add_callback(resume)


def _mallopt() -> Callable[[int, int], int] | None:
    import ctypes  # noqa: PLC0415 - only Dask's workers need it

    return getattr(ctypes.CDLL(None), "mallopt", None)


@contextmanager
def executor(jobs: int = 1, dask: str | None = None) -> Iterator[Executor]:
    """Yield the executor of a command; pending tasks are cancelled when the block ends.

    :param jobs: processes on this machine; 1: this process only.
    :param dask: a scheduler's address (`tcp://host:8786`), which determines the number of workers.

    Raises `UsageError` (`dask-missing`) and `NetworkError` (`dask-unreachable`).
    """
    if dask is not None:
        with _dask(dask) as cluster:
            yield cluster
    elif jobs == 1:
        yield _InlineExecutor()
    else:
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - slow to import
        from multiprocessing import get_context  # noqa: PLC0415 - slow to import

        # Spawn: a fork would copy locks that are held by threads.
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise UsageError(
            "dask-missing", "--dask needs the package `distributed`", hint="pip install 'conda-bridge[dask]'"
        ) from error
    try:
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise NetworkError(
            "dask-unreachable",
            f"no Dask scheduler answers at {address}",
            context=(str(error),),
            hint="an address looks like tcp://host:8786; `dask scheduler` prints it",
        ) from error
    with client:
        yield cast("Executor", client.get_executor(pure=False))  # type: ignore[no-untyped-call]
