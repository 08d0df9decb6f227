"""`bridge convert --test`: what is converted is installed, and its modules are imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bridge.convert.import_test import modules_of
from tests.support.builders import make_wheel
from tests.support.command_line import Bridge
from tests.system.test_end_to_end import check_schema, succeeded


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/__init__.py", "a/b.py", "a/sub/__init__.py", "a-1.0.dist-info/METADATA"], ["a"]),
        (["one.py", "_two.cpython-311-x86_64-linux-gnu.so", "three.pth", "data/x.txt"], ["_two", "one"]),
        (["ns/x/__init__.py", "ns/y/__init__.py", "ns/y/z.py"], ["ns.x", "ns.y"]),
        (["tests/__init__.py", "tests/test_a.py", "conftest.py", "setup.py", "a.py", "docs/conf.py"], ["a"]),
        (["a/__init__.py", "a/not-a-name/b.py", "b-c.py", "__main__.py", "a/__main__.py"], ["a"]),
        (["a/__init__.cpython-311-x86_64-linux-gnu.so"], ["a"]),
        ([], []),
    ],
)
def test_the_modules_at_the_top_are_imported(paths: list[str], expected: list[str]) -> None:
    assert list(modules_of(paths, "a")) == expected


@pytest.mark.slow
def test_good_and_bad_packages(bridge: Bridge, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "helper", "1.0", files={"helper.py": b"VALUE = 1\n"})
    good = {"good/__init__.py": b"import helper\nprint('noise')\n", "good_more.py": b""}
    wheels = [
        make_wheel(tmp_path / "w", "good", "1.0", files=good, requires=["helper"]),
        make_wheel(tmp_path / "w", "bad", "1.0", files={"bad.py": b"import absent_module\n"}),
        make_wheel(tmp_path / "w", "dead", "1.0", files={"dead.py": b"import os\nos._exit(7)\n"}),
        make_wheel(tmp_path / "w", "leaving", "1.0", files={"leaving.py": b"raise SystemExit\n"}),
        make_wheel(tmp_path / "w", "data", "1.0", files={"thing.txt": b""}),
        make_wheel(tmp_path / "w", "needy", "1.0", files={"needy.py": b""}, requires=["missing-thing"]),
    ]
    ran = bridge("convert", *wheels, "-o", "out", "--test", "--json", "-c", "host")
    check_schema("convert", ran.document)
    assert ran.status == 6, "the highest of its failures"
    told = {Path(each["wheel"]).name.split("-")[0]: each["error"] for each in ran.document["failures"]}
    assert {name: error["id"] for name, error in told.items()} == {
        "bad": "import-failed",
        "dead": "import-failed",
        "leaving": "import-failed",
        "needy": "no-solution",
    }
    assert told["bad"]["message"] == "bad 1.0: `import bad` fails: ModuleNotFoundError: No module named 'absent_module'"
    assert told["dead"]["message"] == "dead 1.0: `import dead` fails: python ended with status 7"
    tests = {Path(each["wheel"]).name.split("-")[0]: each for each in ran.document["tests"]}
    assert (tests["good"]["modules"], tests["good"]["passed"]) == (["good", "good_more"], True)
    assert (tests["data"]["modules"], tests["data"]["untested"]) == ([], "it has no modules")
    assert not tests["bad"]["passed"]
    assert len(ran.document["packages"]) == 6, "packages that fail stay"


@pytest.mark.slow
def test_only_the_build_of_this_run_is_tested(bridge: Bridge, tmp_path: Path) -> None:
    """The channel has an older build of the same version, which would be as good for a solve."""
    make_wheel(tmp_path / "wheels", "helper", "1.0", files={"helper.py": b""})
    wheel = make_wheel(tmp_path / "w", "app", "1.0", files={"app.py": b"import helper\n"}, requires=["helper"])
    words = ["convert", wheel, "-o", "out", "--test", "-c", "host"]
    assert "tested: 1 of 1 wheels, 1 modules imported" in succeeded(bridge(*words)).err
    ran = bridge(*words, "--drop-dependency", "helper")
    assert (ran.status, "`import app` fails: ModuleNotFoundError" in ran.err) == (5, True)
    assert "tested: 1 of 1 wheels" in succeeded(bridge(*words)).err, "of a reused package"


@pytest.mark.slow
def test_a_wheel_with_a_package_for_each_python(bridge: Bridge, tmp_path: Path) -> None:
    ours, others = ("<", ">=") if sys.version_info < (3, 11) else (">=", "<")
    requires = [f"helper; python_version {ours} '3.11'", f"absent-thing; python_version {others} '3.11'"]
    make_wheel(tmp_path / "wheels", "helper", "1.0", files={"helper.py": b""})
    wheel = make_wheel(tmp_path / "w", "app", "1.0", files={"app.py": b"import sys\n"}, requires=requires)
    ran = succeeded(bridge("convert", wheel, "-o", "out", "--test", "-c", "host", "--json"))
    assert len(ran.document["packages"]) == 2
    assert [(each["modules"], each["passed"]) for each in ran.document["tests"]] == [(["app"], True)]


def test_packages_of_other_platforms_are_not_tested(bridge: Bridge, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "w", "other", "1.0", tag="cp311-cp311-win_amd64", files={"other.py": b""})
    ran = succeeded(bridge("convert", wheel, "-o", "out", "--test", "-c", "host"))
    assert "not tested: other 1.0: none of its packages is for" in ran.err
    both = bridge("convert", wheel, "-o", "out", "--test", "--wheels-as-records")
    assert (both.status, "--test needs packages" in both.err) == (2, True)
