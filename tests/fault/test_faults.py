"""Every fault at every point: a prefix is as it was before, or as it is to be after; never anything else.

The enumeration is exhaustive for kills and for one error in the upgrade, which has every kind of change. What would
take longer is sampled with a seed; `nox -s thorough` and `python -m tests.fault.exhaustive` leave nothing out.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from bridge.errors import FaultError
from bridge.faults import FAILPOINTS
from bridge.transaction.recovery import recover
from tests.fault.commands import COMMANDS, CommandBench, environment, make_packages
from tests.fault.enumeration import ERRNOS, Bench, Tally, kill, kill_recovery, recovery_points, refuse, stick
from tests.fault.power import lose_power, lose_power_in_recovery
from tests.fault.server import ROOT, Server, build_shim
from tests.fault.workloads import MEMORY, NEW, OLD, WORKLOADS, Nodes, Workload, build, observe, own, run
from tests.support.disks import formatted, shared_bytes

SEED = 20261122
IS_THOROUGH = bool(os.environ.get("BRIDGE_THOROUGH"))
CHANGES = sorted(name for name, workload in WORKLOADS.items() if workload.before is not None)
EVERYWHERE = sorted(WORKLOADS)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as path:
        yield Path(path)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    shim = build_shim(folder)
    if shim is None:
        pytest.skip("the fault injector needs Linux and a C compiler (cc)")
    with Server(shim, folder) as running:
        yield running


@pytest.fixture
def bench(server: Server, folder: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(dir=folder) as home:
        yield Bench(server, Path(home), *request.param.split())


@pytest.fixture(scope="module")
def commands(folder: Path) -> Iterator[Server]:
    """A server for whole commands, on small packages."""
    packages = folder / "packages"
    make_packages(packages)
    shim = build_shim(packages)
    if shim is None:
        pytest.skip("the fault injector needs Linux and a C compiler (cc)")
    (folder / "commands").mkdir()
    with Server(shim, folder / "commands", environment(packages)) as running:
        yield running


@pytest.mark.parametrize("name", COMMANDS)
def test_a_whole_command_is_done_or_not(folder: Path, commands: Server, name: str) -> None:
    """X01, X06: of every command a few points; `python -m tests.fault.exhaustive` has them all."""
    with tempfile.TemporaryDirectory(dir=folder / "commands") as home:
        bench = CommandBench(commands, Path(home), name)
        assert_whole(kill(bench, sample(bench, 3)))
        assert_whole(refuse(bench, sample(bench, 1), ERRNOS["enospc"]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clone btrfs", "clone xfs", "hardlink"])
def test_a_whole_command_is_done_or_not_in_every_link_mode(tmp_path: Path, kind: str) -> None:
    """Cache and environment are on one file system, and large files are cloned or linked, and counted as calls."""
    mode, _, system = kind.partition(" ")
    with formatted(system, tmp_path) if system else nullcontext(tmp_path) as root:
        packages, home = root / "packages", root / "home"
        make_packages(packages)
        home.mkdir()
        shim = build_shim(packages)
        if shim is None:
            pytest.skip("the fault injector needs Linux and a C compiler (cc)")
        with Server(shim, home, environment(packages, mode)) as running:
            for name in ("bridge-create", "bridge-upgrade", "bridge-sync"):
                bench = CommandBench(running, home, name)
                assert is_shared(bench.prefix, mode)
                assert_whole(kill(bench, sample(bench, 12)))
                for code in (ERRNOS["enospc"], ERRNOS["eio"]):
                    assert_whole(refuse(bench, sample(bench, 6), code))


def is_shared(prefix: Path, mode: str) -> bool:
    """Whether a large file of an environment shares its blocks or its inode with the cache."""
    os.sync()  # Extents are told only once they are on the disk.
    large = list(prefix.rglob("large.bin"))
    return any(each.stat().st_nlink > 1 if mode == "hardlink" else shared_bytes(each) for each in large)


@pytest.mark.slow
def test_many_processes_at_once(tmp_path: Path) -> None:
    """X19: a few rounds; `python -m tests.fault.crowd` has a hundred."""
    command = [
        sys.executable,
        "-m",
        "tests.fault.crowd",
        "--processes",
        "4",
        "--rounds",
        "3",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def sample(bench: Bench, size: int) -> list[int]:
    points = range(1, bench.calls + 1)
    return sorted(random.Random(SEED).sample(points, len(points) if IS_THOROUGH else min(size, len(points))))


def assert_whole(tally: Tally) -> None:
    assert tally.torn == []
    assert tally.points == tally.before + tally.after
    assert tally.points


@pytest.mark.slow
@pytest.mark.parametrize("bench", EVERYWHERE, indirect=True)
def test_killed_before_any_call_it_recovers(bench: Bench) -> None:
    """X01, X02, X03: exhaustive for the upgrade."""
    assert bench.calls >= 60
    assert_whole(kill(bench, sample(bench, bench.calls if bench.name == "upgrade" else 40)))


@pytest.mark.parametrize("durability", ["full", "none"])
@pytest.mark.parametrize("bench", ["upgrade"], indirect=True)
def test_killed_it_recovers_whatever_the_durability(bench: Bench, durability: str) -> None:
    bench.durability = durability
    bench.calls = bench.run().calls
    assert_whole(kill(bench, sample(bench, 40)))


@pytest.mark.parametrize("code", [ERRNOS["enospc"], ERRNOS["eio"], ERRNOS["eacces"]], ids=["enospc", "eio", "eacces"])
@pytest.mark.parametrize("bench", ["upgrade"], indirect=True)
def test_a_call_that_is_refused_once_is_undone_in_the_process(bench: Bench, code: int) -> None:
    """X06, X09, X16: exhaustive for one errno, `fsync` and `flock` among the calls; no recovery is needed."""
    assert_whole(refuse(bench, sample(bench, bench.calls if code == ERRNOS["eio"] else 40), code))


@pytest.mark.parametrize("bench", [name for name in EVERYWHERE if name != "upgrade"], indirect=True)
def test_calls_of_the_other_workloads_are_refused_with_some_errno(bench: Bench) -> None:
    points = sample(bench, 32)
    for turn, code in enumerate(ERRNOS.values()):
        assert_whole(refuse(bench, points[turn :: len(ERRNOS)], code))


@pytest.mark.parametrize("mode", ["allocating", "sticky"])
@pytest.mark.parametrize("bench", EVERYWHERE, indirect=True)
def test_when_space_runs_out_for_good_undoing_needs_none(bench: Bench, mode: str) -> None:
    """X07: from a call on all that need new blocks fail: exit 7, as before, in the process.

    Where every call fails, undoing included: exit 9, and as before once the disk works again.
    """
    assert_whole(stick(bench, sample(bench, 12), ERRNOS["enospc"], mode))


@pytest.mark.parametrize("bench", CHANGES, indirect=True)
def test_recovery_may_be_killed_too(bench: Bench) -> None:
    """X03, X04: of all pairs of a kill in the transaction and one in the recovery, a sample."""
    pairs = list(recovery_points(bench, sample(bench, 6)))
    size = len(pairs) if IS_THOROUGH else min(24, len(pairs))
    assert_whole(kill_recovery(bench, sorted(random.Random(SEED).sample(pairs, size))))


@pytest.mark.parametrize("bench", ["upgrade"], indirect=True)
def test_where_undoing_fails_too_the_person_is_told_how_to_go_on(bench: Bench) -> None:
    outcomes = [bench.run(at=point, code=ERRNOS["eio"], mode="sticky") for point in sample(bench, 20)]
    unsettled = [outcome for outcome in outcomes if outcome.exit_code == 9]
    assert unsettled
    assert {outcome.error for outcome in unsettled} == {"recovery-failed"}
    assert all(f"bridge recover -p {bench.prefix}" in outcome.context[-1] for outcome in unsettled)


@pytest.mark.parametrize("bench", EVERYWHERE, indirect=True)
def test_without_hard_links_it_is_slower_and_no_less_safe(bench: Bench) -> None:
    """X14: EPERM of every `link`: what is to be replaced is moved instead, and put back all the same."""
    code = ERRNOS["eperm"]
    assert bench.run(at=1, code=code, mode="links").exit_code == 0
    assert bench.judge(is_after=True) == ""
    if bench.name == "upgrade":
        for failpoint in ("swap.rename_one:3=eio", "record.dist_info=eio", "commit.pre_sync=eio"):
            assert bench.run(at=1, code=code, mode="links", failpoint=failpoint).exit_code == 7
            assert bench.judge(is_after=False) == ""
            killed = bench.run(at=1, code=code, mode="links", failpoint=failpoint.replace("eio", "kill"))
            assert killed.signal == signal.SIGKILL
            assert recover(bench.prefix).state == "restored"
            assert bench.judge(is_after=False) == ""


@pytest.mark.parametrize("bench", EVERYWHERE, indirect=True)
def test_a_write_may_take_less_than_it_is_given(bench: Bench) -> None:
    """X15: every write takes half."""
    assert bench.run(mode="short").exit_code == 0
    assert bench.judge(is_after=True) == ""


@pytest.mark.parametrize("bench", CHANGES, indirect=True)
def test_nothing_outside_the_prefix_is_touched(bench: Bench, folder: Path) -> None:
    """I2: every mutating call of a change names a path below the prefix."""
    log = folder / f"{bench.name}.log"
    bench.reset()
    bench.server.run(bench.prefix, bench.name, log=log)
    lines = log.read_text().splitlines()
    assert len(lines) == bench.calls
    paths = [line.partition("\t")[0].split(" ", 2)[2] for line in lines]
    assert all(path == str(bench.prefix) or path.startswith(f"{bench.prefix}/") for path in paths)


@pytest.mark.parametrize("bench", ["upgrade batched", "upgrade full", "remove batched"], indirect=True)
def test_power_may_go_at_any_moment(bench: Bench, folder: Path) -> None:
    """X17, as a model: of what is not synced any part is lost. `python -m tests.fault.exhaustive` makes more states."""
    count, wrong = lose_power(bench, folder, seed=SEED, each=1)
    assert wrong == []
    assert count > 80


@pytest.mark.parametrize("failpoint", ["commit.pre_sync", "commit.synced"])
@pytest.mark.parametrize("bench", ["upgrade batched", "upgrade full"], indirect=True)
def test_power_may_go_at_any_moment_of_a_recovery(bench: Bench, folder: Path, failpoint: str) -> None:
    count, wrong = lose_power_in_recovery(bench, folder, failpoint=failpoint, seed=SEED, each=2)
    assert wrong == []
    assert count > 40


@pytest.mark.parametrize("bench", ["upgrade none"], indirect=True)
def test_the_model_of_power_loss_sees_what_was_not_synced(bench: Bench, folder: Path) -> None:
    """The control: what promises no durability has none."""
    _, wrong = lose_power(bench, folder, seed=SEED, each=1)
    assert wrong


IN_CHANGE = sorted(name for name in FAILPOINTS if not name.startswith("recover."))
SIGNALS = {"sigint": 130, "sigterm": 143, "sighup": 129}
OTHER_ACTIONS = ("exit", "sleep", "eio", "eacces", "sigterm", "sighup")


@pytest.mark.parametrize("bench", ["upgrade"], indirect=True)
@pytest.mark.parametrize(
    "action",
    ["kill", "enospc", "sigint", *(pytest.param(each, marks=pytest.mark.slow) for each in OTHER_ACTIONS)],
)
def test_every_failpoint_of_a_change(bench: Bench, action: str) -> None:
    """X05 (signals) and the rest: as before without `recover`, or as after where it was past COMMITTED."""
    for name in IN_CHANGE:
        outcome = bench.run(failpoint=f"{name}={action}")
        is_after = bench.is_committed()
        if action == "kill":
            assert outcome.signal == signal.SIGKILL, name
            recover(bench.prefix)
        elif action == "sleep":
            assert is_after, name
        elif action == "exit":
            assert outcome.error == "SystemExit: 70", name
            recover(bench.prefix)
        elif action in SIGNALS:
            # The child's SIGINT is python's own: it ends as KeyboardInterrupt does. The others kill.
            is_killed = outcome.signal == SIGNALS[action] - 128 or outcome.error.startswith("KeyboardInterrupt")
            assert is_killed, (name, outcome)
        else:
            assert outcome.exit_code == (0 if is_after else 7), (name, outcome)
        assert bench.judge(is_after=is_after) == "", (name, action)


@pytest.mark.parametrize("bench", ["upgrade"], indirect=True)
@pytest.mark.parametrize("action", ["kill", "enospc", "sigterm"])
def test_every_failpoint_of_a_recovery(bench: Bench, action: str) -> None:
    for name in (
        "lock.acquired",
        "recover.begin",
        "recover.undo_one",
        "recover.undo_one:4",
        "recover.done",
        "clean.one",
    ):
        bench.run(failpoint="commit.pre_sync=kill")
        outcome = bench.recover(failpoint=f"{name}={action}")
        assert outcome.signal or outcome.exit_code in {7, 9}, (name, outcome)
        recover(bench.prefix)
        assert bench.judge(is_after=False) == "", name


def in_child(work: Callable[[], object]) -> tuple[int, str]:
    """Run it in a forked process; its exit status (the exit code of an error) and the error's id."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code, text = 0, ""
        try:
            work()
        except FaultError as error:
            code, text = error.exit_code, error.id
        except BaseException as error:  # noqa: BLE001 - the parent asserts on it
            code, text = 1, repr(error)
        os.write(write, text.encode())
        os._exit(code)
    os.close(write)
    with open(read) as stream:
        text = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@pytest.fixture
def prefix(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as home:
        build(Path(home, "env"), OLD)
        yield Path(home, "env")


def test_a_file_too_large_is_told_and_undone(prefix: Path) -> None:
    """X08."""
    before = observe(prefix, identity=True)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))
        run(prefix, WORKLOADS["upgrade"])

    assert in_child(work) == (7, "file-too-large")
    assert observe(prefix, identity=True) == before
    assert own(prefix) == []


@pytest.mark.parametrize("workload", ["upgrade", "create"])
def test_however_few_files_may_be_open_it_is_done_or_undone(folder: Path, workload: str) -> None:
    """X11: from a limit with which nothing begins to one with which all is done."""
    seen = []
    for free in range(0, 64, 1 if IS_THOROUGH else 3):
        with tempfile.TemporaryDirectory(dir=folder) as home:
            prefix = Path(home, "env")
            if workload == "upgrade":
                build(prefix, OLD)
            before = observe(Path(home), identity=True)

            def work(prefix: Path = prefix, free: int = free) -> None:
                taken = {int(name) for name in os.listdir("/proc/self/fd")}
                limit, left = 0, free
                while left or limit <= min(taken):
                    left -= limit not in taken
                    limit += 1
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
                run(prefix, WORKLOADS[workload])

            found = in_child(work)
            seen.append(found)
            if found[0]:
                assert found == (7, "too-many-open-files"), free
                assert observe(Path(home), identity=True) == before
                assert own(prefix) == []
    assert {code for code, _ in seen} == {0, 7}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
@pytest.mark.parametrize("path", ["conda-meta", "bin", "lib/real/deep", "lib/python3.12/site-packages/demo"])
def test_a_directory_that_may_not_be_written_is_found_before_anything_is_changed(
    server: Server, folder: Path, path: str
) -> None:
    """X10: exit 7, and not one call that changes anything but bridge's own folder."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        prefix = Path(home, "env")
        build(prefix, OLD)
        for each in [folder, Path(home), *prefix.rglob("*"), prefix]:
            if not each.is_symlink():
                os.chown(each, 65534, 65534)
        (prefix / path).chmod(0o555)
        before = observe(prefix, identity=True)

        def work() -> None:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            run(prefix, WORKLOADS["upgrade"])

        assert in_child(work) == (7, "permission-denied")
        assert observe(prefix, identity=True) == before
        assert own(prefix) == []
        os.chown(folder, 0, 0)


@pytest.mark.parametrize("kind", ["small", "overlay"])
def test_file_systems_of_other_kinds(folder: Path, kind: str) -> None:
    """X07 for real, on disks of every size that is too small; and a prefix in a lower layer of an overlay."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        command = ["unshare", "-rm", sys.executable, "-m", "tests.fault.mounts", kind, home]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no unshare(1) here")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"mounting is not permitted here: {done.stdout}{done.stderr}")
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_upgrade_has_every_kind_of_change() -> None:
    """What the enumeration is worth: from every kind to every other, and directories that come and go with contents."""
    build_kinds = {(_kind(OLD, path), _kind(NEW, path)) for path in {*OLD, *NEW}}
    assert build_kinds >= {
        ("file", "file"), ("file", "nothing"), ("nothing", "file"), ("symlink", "symlink"), ("file", "directory"),
        ("symlink", "directory"), ("directory", "symlink"), ("nothing", "directory"),
    }  # fmt: skip
    assert WORKLOADS["downgrade"] == Workload(before=NEW, after=OLD)


def _kind(nodes: Nodes, path: str) -> str:
    if path in nodes:
        return {bytes: "file", str: "symlink", type(None): "directory"}[type(nodes[path])]
    return "directory" if any(other.startswith(f"{path}/") for other in nodes) else "nothing"
