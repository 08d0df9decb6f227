"""The main job, as a person does it: real processes, a real interpreter, real files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from bridge.__main__ import run as _entry  # the console script must be importable
from bridge.channels.host import HostChannel
from tests.support.builders import make_conda, make_repodata, make_wheel, metadata_text, tree_digest
from tests.support.command_line import Bridge, Ran, clean_environment
from tests.support.sdists import make_sdist
from tests.support.servers import IndexServer

assert callable(_entry)


def succeeded(ran: Ran) -> Ran:
    """The run, if it went well; all of its words, if not."""
    assert ran.status == 0, f"{ran.err}\n{ran.out}"
    return ran


def check_schema(command: str, document: object) -> None:
    """Hold a document against the schema that is shipped for it."""
    text = (resources.files("bridge") / "schemas" / f"{command}.json").read_text("utf-8")
    jsonschema.validate(document, json.loads(text), cls=jsonschema.Draft202012Validator)


def in_environment(prefix: Path, *words: str) -> str:
    """What a program of the environment prints."""
    done = subprocess.run(
        [str(prefix / "bin" / words[0]), *words[1:]],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources(bridge: Bridge, prefix: Path) -> dict[str, str]:
    """The installed packages and where each is from."""
    listed = succeeded(bridge("list", "-p", prefix, "--json")).document
    check_schema("list", listed)
    return {package["name"]: package["source"] for package in listed["packages"]}


def is_clean(bridge: Bridge, prefix: Path) -> None:
    """`bridge audit` finds nothing at all, warnings included."""
    audited = succeeded(bridge("audit", "-p", prefix, "--json", "--fail-on", "info")).document
    check_schema("audit", audited)
    assert audited["findings"] == []


def rattler_reads(prefix: Path) -> dict[str, str]:
    """Every conda-meta record, as stock py-rattler reads it: name → version."""
    from rattler import PrefixRecord

    records = [PrefixRecord.from_path(path) for path in sorted((prefix / "conda-meta").glob("*.json"))]
    for record in records:
        for entry in record.paths_data.paths:
            assert (prefix / str(entry.relative_path)).exists()
    return {record.name.normalized: str(record.version) for record in records}


@pytest.fixture(scope="module")
def environment(
    bridge_cache: Path, index: IndexServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bridge, Path]:
    """An environment with a python from `host` and wheels that need each other."""
    folder = tmp_path_factory.mktemp("environment")
    bridge = Bridge(bridge_cache, index.simple, folder)
    made = succeeded(bridge("create", "-p", "env", "-c", "host", "python", "farm", "--json")).document
    check_schema("change", made)
    return bridge, folder / "env"


class TestTheMainJob:
    def test_it_makes_an_environment_of_both_worlds(self, environment: tuple[Bridge, Path]) -> None:
        bridge, prefix = environment
        assert in_environment(prefix, "python", "-c", "import farm, barn, cow; print(cow.__file__)").startswith(
            str(prefix)
        )
        assert in_environment(prefix, "plough") == "ploughing\n"
        assert sources(bridge, prefix) == {
            "barn": "wheel", "cow": "wheel", "farm": "wheel", "python": "conda", "python_abi": "conda",
        }  # fmt: skip
        is_clean(bridge, prefix)
        assert rattler_reads(prefix)["cow"] == "2.0"

    def test_the_interpreter_does_not_lean_on_the_original(self, environment: tuple[Bridge, Path]) -> None:
        _, prefix = environment
        code = "import sys; print('\\n'.join([sys.prefix, sys.base_prefix, *filter(None, sys.path)]))"
        for line in in_environment(prefix, "python", "-I", "-c", code).splitlines():
            assert line.startswith(str(prefix)), line

    def test_dist_info_is_true(self, environment: tuple[Bridge, Path]) -> None:
        _, prefix = environment
        code = (
            "import importlib.metadata as m, json\n"
            "found = {}\n"
            "for d in m.distributions():\n"
            "    found[d.name] = [d.read_text('INSTALLER'), d.read_text('REQUESTED') is not None,\n"
            "                     d.read_text('direct_url.json'), all(f.locate().exists() for f in d.files)]\n"
            "print(json.dumps(found))"
        )
        found = json.loads(in_environment(prefix, "python", "-c", code))
        assert found == {
            "farm": ["bridge\n", True, None, True],
            "barn": ["bridge\n", False, None, True],
            "cow": ["bridge\n", False, None, True],
        }

    def test_what_is_installed_and_removed_again_leaves_no_trace(self, bridge: Bridge) -> None:
        succeeded(bridge("create", "-p", "env", "-c", "host", "python", "hay"))
        prefix = bridge.folder / "env"
        before = tree_digest(prefix)
        succeeded(bridge("install", "-p", prefix, "cow<2"))
        assert in_environment(prefix, "cow") == "moo from cow\n"  # leaves bytecode behind, which must go too
        is_clean(bridge, prefix)
        changed = succeeded(bridge("remove", "-p", prefix, "cow", "--json")).document
        check_schema("change", changed)
        after = tree_digest(prefix)
        differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        expected = {"conda-meta/history"} | {path for path in differing if path.startswith("conda-meta/.bridge/")}
        assert {path for path in differing if "__pycache__" not in path} == expected
        assert not [path for path in differing if "cow" in path]

    def test_an_upgrade_keeps_what_it_can(self, bridge: Bridge) -> None:
        succeeded(bridge("create", "-p", "env", "-c", "host", "python", "pinned", "barn"))
        prefix = bridge.folder / "env"
        assert rattler_reads(prefix)["cow"] == "1.0"
        refused = bridge("install", "-p", prefix, "cow>=2", "--json")
        assert refused.status == 6
        check_schema("error", refused.document)
        assert "pinned" in refused.err
        succeeded(bridge("remove", "-p", prefix, "pinned"))
        succeeded(bridge("update", "-p", prefix, "cow"))
        assert rattler_reads(prefix)["cow"] == "2.0"
        is_clean(bridge, prefix)

    def test_a_converted_wheel_is_installed_as_a_conda_package(self, bridge: Bridge) -> None:
        converted = succeeded(bridge("convert", "farm", "-o", "channel", "--index", "--json")).document
        check_schema("convert", converted)
        succeeded(bridge("create", "-p", "env", "-c", "./channel", "-c", "host", "python", "farm"))
        prefix = bridge.folder / "env"
        assert sources(bridge, prefix)["farm"] == "conda"
        assert sources(bridge, prefix)["barn"] == "wheel"
        assert in_environment(prefix, "plough") == "ploughing\n"
        is_clean(bridge, prefix)

    def test_an_extra_brings_its_requirements(self, bridge: Bridge) -> None:
        solved = succeeded(bridge("resolve", "-c", "host", "python", "farm[food]", "--json")).document
        check_schema("resolve", solved)
        packages = {package["name"]: package for package in solved["packages"]}
        assert packages["hay"]["required_by"] == ["farm"]
        assert [package["name"] for package in solved["packages"]] == sorted(packages)

    @pytest.mark.slow
    def test_pip_and_bridge_see_the_same(self, bridge: Bridge, wheels: dict[str, Path]) -> None:
        if "pip" not in wheels:
            pytest.skip("this python has no bundled pip")
        succeeded(bridge("create", "-p", "env", "-c", "host", "python", "farm", "pip"))
        prefix = bridge.folder / "env"
        listed = json.loads(in_environment(prefix, "python", "-m", "pip", "list", "--format=json"))
        assert {package["name"]: package["version"] for package in listed}.items() >= {
            "farm": "1.0",
            "cow": "2.0",
        }.items()
        assert "No broken requirements" in in_environment(prefix, "python", "-m", "pip", "check")
        in_environment(prefix, "python", "-m", "pip", "uninstall", "--yes", "--root-user-action=ignore", "farm")
        assert not (prefix / "bin" / "plough").exists()
        audited = bridge("audit", "-p", prefix, "--json")
        assert audited.status == 11
        assert {finding["id"] for finding in audited.document["findings"]} >= {"missing-file"}
        succeeded(bridge("audit", "-p", prefix, "--fix"))
        assert in_environment(prefix, "plough") == "ploughing\n"
        is_clean(bridge, prefix)

    @pytest.mark.slow
    def test_what_pip_wrote_over_keeps_nothing_else_from_being_repaired(
        self, bridge: Bridge, wheels: dict[str, Path]
    ) -> None:
        if "pip" not in wheels:
            pytest.skip("this python has no bundled pip")
        succeeded(bridge("create", "-p", "env", "-c", "host", "python", "farm", "cow<2", "pip"))
        prefix = bridge.folder / "env"
        quiet = ("--root-user-action=ignore", "--no-index", "--no-deps", "--quiet")
        in_environment(prefix, "python", "-m", "pip", "install", *quiet, str(wheels["cow-2.0"]))
        in_environment(prefix, "python", "-m", "pip", "uninstall", "--yes", "--root-user-action=ignore", "farm")
        fixed = bridge("audit", "-p", prefix, "--fix", "--json")
        assert fixed.status == 11
        assert in_environment(prefix, "plough") == "ploughing\n"
        left = [finding for finding in fixed.document["findings"] if finding["level"] == "error"]
        assert {(finding["owner"], *finding["repair"]) for finding in left} == {
            ("wheel:cow-1.0", "bridge", "adopt", "-p", str(prefix), "cow")
        }
        assert bridge(*left[0]["repair"][1:]).status == 0
        assert bridge("audit", "-p", prefix).status == 0

    @pytest.mark.slow
    def test_an_sdist_is_built_and_recorded_as_what_it_was(self, bridge: Bridge, tmp_path: Path) -> None:
        sdist = make_sdist(tmp_path / "links", "seed", "1.0")
        environ = {"BRIDGE_FIND_LINKS": str(sdist.parent)}
        succeeded(bridge("create", "-p", "env", "-c", "host", "python", "seed", environ=environ))
        prefix = bridge.folder / "env"
        assert in_environment(prefix, "python", "-c", "import seed; print(bool(seed.MADE))") == "True\n"
        record = json.loads(next((prefix / "conda-meta").glob("seed-*.json")).read_text())
        assert record["url"].endswith(sdist.name)
        assert record["sha256"] == hashlib.sha256(sdist.read_bytes()).hexdigest()
        is_clean(bridge, prefix)
        refused = bridge("create", "-p", "other", "-c", "host", "python", "seed", "--no-build", environ=environ)
        assert refused.status == 6

    def test_who_owns_and_why(self, environment: tuple[Bridge, Path]) -> None:
        bridge, prefix = environment
        owned = succeeded(bridge("owner", "-p", prefix, prefix / "bin" / "plough", "--json")).document
        check_schema("owner", owned)
        assert [owner["owner"] for owner in owned["owners"]] == ["wheel:farm-1.0"]
        told = succeeded(bridge("why", "-p", prefix, "cow", "--json")).document
        check_schema("why", told)
        assert "barn" in json.dumps(told["packages"][0]["required_by"])

    def test_many_requests_in_one_process(self, bridge: Bridge) -> None:
        requests = [
            {"id": "a", "conda": ["python"], "pypi": ["farm"]},
            {"id": 2, "conda": [], "pypi": ["cow>9"]},
            {"id": "c", "conda": ["python"], "pypi": ["pinned"]},
        ]
        (bridge.folder / "requests.jsonl").write_text("\n".join(map(json.dumps, requests)))
        lines = succeeded(bridge("resolve", "-c", "host", "--batch", "requests.jsonl")).out.splitlines()
        documents = [json.loads(line) for line in lines]
        assert [document["id"] for document in documents] == ["a", 2, "c"]
        assert documents[1]["error"]["id"] == "no-solution"
        assert {package["name"]: package["version"] for package in documents[2]["packages"]}["cow"] == "1.0"


class TestConda:
    def test_a_conda_package_with_a_placeholder_beside_wheels(self, bridge: Bridge) -> None:
        channel = bridge.folder / "channel"
        make_conda(
            channel, "tool", "1.0", files={"bin/tool": b"#!/old/place/bin/python\nprint('tool')\n"},
            placeholders={"bin/tool": ("/old/place", "text")}, executable=["bin/tool"], depends=["python", "cow"],
        )  # fmt: skip
        make_conda(channel, "cow", "3.0", noarch="python", depends=["python"],
                   files={"site-packages/cow.py": b"WORLD = 'conda'\n"})  # fmt: skip
        make_repodata(channel)
        succeeded(bridge("create", "-p", "env", "-c", "./channel", "-c", "host", "tool", "barn"))
        prefix = bridge.folder / "env"
        assert sources(bridge, prefix) == {
            "barn": "wheel", "cow": "conda", "python": "conda", "python_abi": "conda", "tool": "conda",
        }  # fmt: skip
        assert in_environment(prefix, "tool") == "tool\n"
        assert in_environment(prefix, "python", "-c", "import cow, barn; print(cow.WORLD)") == "conda\n"
        is_clean(bridge, prefix)

    def test_a_stock_client_installs_from_a_converted_channel(self, bridge: Bridge) -> None:
        from rattler import Gateway, VirtualPackage, install, solve

        succeeded(bridge("convert", "cow", "-o", "channel", "--index"))
        host = HostChannel(bridge.cache)
        (python,) = host.records("python")
        for record in (python, *host.records("python_abi")):
            target = bridge.folder / "base" / record.subdir / record.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(host.archive(record).read_bytes())
        make_repodata(bridge.folder / "base")
        prefix = bridge.folder / "env"

        async def make() -> None:
            channels = [(bridge.folder / name).as_uri() for name in ("channel", "base")]
            found = await solve(
                channels,
                ["cow", "python"],
                gateway=Gateway(),
                platforms=[python.subdir, "noarch"],  # type: ignore[list-item]
                virtual_packages=VirtualPackage.detect(),
            )
            await install(found, str(prefix), cache_dir=bridge.folder / "packages", show_progress=False)

        asyncio.run(make())
        assert in_environment(prefix, "cow") == "moo from cow\n"


@pytest.fixture
def small(bridge: Bridge) -> Path:
    """A small environment to be left alone."""
    succeeded(bridge("create", "-p", "env", "-c", "host", "python"))
    return bridge.folder / "env"


class TestBadInput:
    """One clear error, the right exit status, and the environment byte for byte as it was."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("words", "status", "id_"),
        [
            (["-c", "http://127.0.0.1:9/channel", "hay", "numpy"], 10, "channel-unreachable"),
            (["--index-url", "http://127.0.0.1:9/simple", "hay"], 10, "not-reached"),
            (["nobody-has-this"], 6, "no-solution"),
            (["cow>=99"], 6, "no-solution"),
            (["conda:cow"], 6, "no-solution"),
            (["python <3"], 6, "no-solution"),
            (["ri(ch"], 2, "invalid-requirement"),
            (["--prefer", "neither", "hay"], 2, "option-value"),
            (["--no-such-option", "hay"], 2, "usage"),
            ([], 2, "no-requirements"),
            (["-c", "./missing-folder", "hay"], 10, "channel-unreachable"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else None,
    )
    def test_refused(self, bridge: Bridge, small: Path, words: list[str], status: int, id_: str) -> None:
        before = tree_digest(small)
        ran = bridge("install", "-p", small, *words)
        assert (ran.status, f"error[{id_}]: " in ran.err, "Traceback" in ran.err) == (status, True, False), ran.err
        assert tree_digest(small) == before

    def test_an_interrupt_while_bridge_is_imported_is_no_traceback(self) -> None:
        program = (
            "import sys\n"
            "class Interrupting:\n"
            "    def find_spec(self, name, path, target=None):\n"
            "        if name == 'bridge.cli.failure':\n"
            "            raise KeyboardInterrupt\n"
            "sys.meta_path.insert(0, Interrupting())\n"
            "from bridge.__main__ import run\n"
            "run()\n"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")

    def test_what_is_no_environment(self, bridge: Bridge, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        for name in ("other", "absent"):
            ran = bridge("install", "-p", tmp_path / name, "hay")
            assert (ran.status, "error[not-an-environment]" in ran.err) == (2, True)
        assert not (tmp_path / "absent").exists()

    @pytest.mark.parametrize("path", ["/", "../other", "bin/../../other"])
    def test_a_path_that_is_not_in_the_environment(self, bridge: Bridge, small: Path, path: str) -> None:
        ran = bridge("owner", "-p", small, path)
        assert (ran.status, "error[outside-environment]" in ran.err, ran.out) == (2, True, "")

    def test_what_is_there_already(self, bridge: Bridge, tmp_path: Path) -> None:
        (tmp_path / "env").mkdir()
        (tmp_path / "env" / "mine.txt").write_text("mine")
        ran = bridge("create", "-p", "env", "-c", "host", "python")
        assert (ran.status, "error[prefix-exists]" in ran.err) == (4, True)
        assert (tmp_path / "env" / "mine.txt").read_text() == "mine"

    def test_a_symlink_to_where_there_is_room(self, bridge: Bridge, tmp_path: Path) -> None:
        """As people do whose home is small: the rename that makes an environment appear would replace the link."""
        (tmp_path / "scratch").mkdir()
        (tmp_path / "env").symlink_to("scratch")
        ran = bridge("create", "-p", "env", "-c", "host", "python")
        assert (ran.status, "error[prefix-exists]" in ran.err) == (4, True)
        assert f"bridge create -p {tmp_path / 'scratch'} python" in ran.err

    def test_a_mount_point(self, tmp_path: Path) -> None:
        create = f"{sys.executable} -m bridge create -p m -c host python"
        script = f"mkdir m && mount -t tmpfs none m && {create}; exec {create.replace(' m ', ' m/env ')} --dry-run"
        try:
            ran = subprocess.run(
                ["unshare", "-rm", "sh", "-c", script],
                cwd=tmp_path,
                env=clean_environment(),
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            pytest.skip("there is no unshare(1) here")
        if "unshare failed" in ran.stderr or "mount:" in ran.stderr:
            pytest.skip("this machine lets nobody mount")
        assert "error[prefix-mount]" in ran.stderr
        assert "bridge create -p m/env python" in ran.stderr.replace(f"{tmp_path}/", "")
        assert ran.returncode == 0, ran.stderr

    def test_what_is_to_lie_in_a_file(self, bridge: Bridge, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        ran = bridge("create", "-p", "file/env", "-c", "http://127.0.0.1:9/channel", "python")
        assert (ran.status, "error[prefix-parent]" in ran.err) == (2, True), ran.err

    @pytest.mark.slow
    def test_a_corrupt_wheel(self, bridge: Bridge, small: Path, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path, "rotten", "1.0")
        data = bytearray(wheel.read_bytes())
        data[60] ^= 0xFF
        wheel.write_bytes(bytes(data))
        before = tree_digest(small)
        ran = bridge("install", "-p", small, "rotten", "--json", environ={"BRIDGE_FIND_LINKS": str(tmp_path)})
        assert ran.status in (3, 5), ran.err
        check_schema("error", ran.document)
        assert tree_digest(small) == before

    def test_a_hash_that_differs(self, bridge: Bridge, small: Path, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path / "one", "swapped", "1.0")
        other = make_wheel(tmp_path / "two", "swapped", "1.0", files={"swapped.py": b"EVIL = True\n"})
        before = tree_digest(small)
        with IndexServer() as server:
            server.publish(wheel)
            server.add(f"/files/{wheel.name}", other.read_bytes())
            ran = bridge("install", "-p", small, "swapped", "--index-url", server.simple)
        assert (ran.status, "error[" in ran.err) == (5, True), ran.err
        assert tree_digest(small) == before

    @pytest.mark.slow
    def test_metadata_that_is_not_the_wheels(self, bridge: Bridge, small: Path, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path, "liar", "1.0", requires=["cow"])
        plain = make_wheel(tmp_path / "plain", "liar", "1.0")
        before = tree_digest(small)
        with IndexServer() as server:
            server.publish(plain)
            served = server.routes[f"/files/{plain.name}.metadata"].body
            server.projects["liar"].wheels[:] = [wheel]
            server.projects["liar"].core_metadata = True
            server.add(f"/files/{wheel.name}", wheel.read_bytes())
            server.add(f"/files/{wheel.name}.metadata", served)
            server.projects["liar"].core_metadata = hashlib.sha256(served).hexdigest()
            ran = bridge("install", "-p", small, "liar", "--index-url", server.simple)
        assert (ran.status, "error[metadata-mismatch]" in ran.err) == (5, True), ran.err
        assert tree_digest(small) == before

    @pytest.mark.slow
    def test_metadata_that_the_index_spells_otherwise(self, bridge: Bridge, small: Path, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path, "spelt", "1.0", requires_python=">=3.8,<4", requires=["cow (>=0)"])
        served = metadata_text("spelt", "1.0", requires_python="<4, >=3.8", requires=["Cow>=0"])
        with IndexServer() as server:
            server.publish(wheel, make_wheel(tmp_path, "cow", "1.0"))
            server.add(f"/files/{wheel.name}.metadata", served)
            server.projects["spelt"].core_metadata = hashlib.sha256(served).hexdigest()
            ran = bridge("install", "-p", small, "spelt", "--index-url", server.simple)
        assert ran.status == 0, ran.err

    @pytest.mark.slow
    @pytest.mark.parametrize("fault", ["enospc", "eacces", "eio"])
    def test_a_fault_half_way_is_rolled_back(self, bridge: Bridge, small: Path, fault: str) -> None:
        before = tree_digest(small)
        ran = bridge("install", "-p", small, "farm", environ={"BRIDGE_FAILPOINT": f"swap.rename_one:5={fault}"})
        assert (ran.status, "error[" in ran.err) == (7, True), ran.err
        assert tree_digest(small) == before

    def test_killed_half_way_it_is_recovered(self, bridge: Bridge, small: Path) -> None:
        before = tree_digest(small)
        assert bridge("install", "-p", small, "farm", environ={"BRIDGE_FAILPOINT": "swap.rename_one:5=kill"}).status < 0
        assert bridge("audit", "-p", small).status == 9
        recovered = succeeded(bridge("recover", "-p", small, "--json")).document
        check_schema("recover", recovered)
        assert recovered["state"] == "restored"
        assert {path: what for path, what in tree_digest(small).items() if ".bridge/lock" not in path} == {
            path: what for path, what in before.items() if ".bridge/lock" not in path
        }

    @pytest.mark.slow
    def test_a_path_of_nobody_is_not_overwritten(self, bridge: Bridge, small: Path) -> None:
        (small / "bin" / "plough").write_text("mine")
        before = tree_digest(small)
        ran = bridge("install", "-p", small, "farm")
        assert (ran.status, "error[unowned-path]" in ran.err) == (4, True), ran.err
        assert tree_digest(small) == before
        succeeded(bridge("install", "-p", small, "farm", "--set-aside"))
        kept = [path for path in (small / "bin").iterdir() if path.name.startswith("plough.")]
        assert [path.read_text() for path in kept] == ["mine"]

    def test_no_permission(self, bridge: Bridge, small: Path) -> None:
        import os

        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        before = tree_digest(small)
        (small / "conda-meta").chmod(0o555)
        try:
            ran = bridge("install", "-p", small, "hay")
        finally:
            (small / "conda-meta").chmod(0o755)
        assert (ran.status, "error[" in ran.err) == (7, True), ran.err
        assert tree_digest(small) == before

    def test_removing_what_others_need(self, environment: tuple[Bridge, Path]) -> None:
        bridge, prefix = environment
        ran = bridge("remove", "-p", prefix, "cow")
        assert (ran.status, "error[still-needed]" in ran.err) == (6, True)
        ran = bridge("remove", "-p", prefix, "goat")
        assert (ran.status, "error[not-installed]" in ran.err) == (2, True)

    def test_a_dry_run_changes_nothing(self, bridge: Bridge, small: Path) -> None:
        before = tree_digest(small)
        document = succeeded(bridge("install", "-p", small, "farm", "--dry-run", "--json")).document
        check_schema("change", document)
        assert {operation["new"]["name"] for operation in document["operations"]} == {"farm", "barn", "cow"}
        assert tree_digest(small) == before


@pytest.mark.network
class TestTheRealIndex:
    @pytest.mark.slow
    def test_the_readme_sequence(self, bridge_cache: Path, tmp_path: Path, real_index: None) -> None:
        bridge = Bridge(bridge_cache, None, tmp_path)
        succeeded(bridge("create", "-p", "env", "-c", "host", "python", "rich", "httpx"))
        prefix = tmp_path / "env"
        in_environment(prefix, "python", "-c", "import rich, httpx")
        is_clean(bridge, prefix)
        before = tree_digest(prefix / "lib")
        succeeded(bridge("install", "-p", prefix, "textual>=1", "cowsay"))
        in_environment(prefix, "python", "-I", "-B", "-c", "import textual, cowsay")
        is_clean(bridge, prefix)
        succeeded(bridge("remove", "-p", prefix, "cowsay"))
        assert "cowsay" not in sources(bridge, prefix)
        is_clean(bridge, prefix)
        succeeded(bridge("remove", "-p", prefix, "textual"))
        assert {p: w for p, w in tree_digest(prefix / "lib").items() if "__pycache__" not in p} == {
            p: w for p, w in before.items() if "__pycache__" not in p
        }
        succeeded(bridge("convert", "rich", "-o", "channel", "--index"))
        succeeded(bridge("create", "-p", "env2", "-c", "./channel", "-c", "host", "python", "rich"))
        assert sources(bridge, tmp_path / "env2")["rich"] == "conda"
        in_environment(tmp_path / "env2", "python", "-c", "import rich")
        is_clean(bridge, tmp_path / "env2")
