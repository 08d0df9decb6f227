"""`bridge.convert.workers`: the allocator of Dask's workers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading

import pytest

from bridge.convert.workers import kept_memory, unsampled

PAGE_FAULTS = """
import contextlib, resource, sys
from bridge.convert.workers import kept_memory, unsampled

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        bytes(b"x") * (4 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
with kept_memory():
    kept = faults()
print(plain, kept, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a property of glibc")
def test_large_blocks_are_reused_in_a_process_that_dask_started() -> None:
    environ = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    ran = subprocess.run([sys.executable, "-c", PAGE_FAULTS], env=environ, check=True, capture_output=True, text=True)
    plain, kept, after = map(int, ran.stdout.split())
    assert kept < plain / 5
    assert after > plain / 2  # as the process was


@pytest.mark.parametrize("text", ["", "many", "-1"])
def test_other_processes_are_left_alone(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", text)
    asked: list[object] = []
    monkeypatch.setattr("ctypes.CDLL", asked.append)
    with kept_memory():
        pass
    assert asked == []


def _sampled_during_and_after() -> tuple[bool, bool]:
    """Whether the worker of this task is sampled within `unsampled`, and later."""
    worker = sys.modules["distributed.worker"].get_worker()
    sampling = worker.periodic_callbacks["profile"]

    def after_the_loop_turned() -> bool:
        turned = threading.Event()
        worker.loop.add_callback(turned.set)
        assert turned.wait(30)
        return bool(sampling.is_running())

    assert after_the_loop_turned()
    with unsampled():
        during = after_the_loop_turned()
    return during, after_the_loop_turned()


def test_a_worker_of_dask_is_not_sampled_while_it_converts() -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert client.submit(_sampled_during_and_after).result() == (False, True)
    with unsampled():  # no worker
        pass
