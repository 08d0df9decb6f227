"""A MatchSpec of a name, plain versions and a plain build means what it means to rattler, which is not imported."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
from rattler.match_spec import MatchSpec

from bridge.channels.panics import as_value_error
from bridge.requirements.matchspec import parse_conda

VERSIONS = ("3.11.*", "=3.11", "==3.11", ">=3.10,<3.12", "!=3.11", "==3.11.*", ">3,=3.11.*", "=3.11,<4", "*", "3.11")
BUILDS = ("", " *_cp311", " py311*", " 0", " *", " *0*", " py_0 ", "  py_0", " 1_cpython", " Py_0")
CANDIDATES = tuple(product(("3.10", "3.11", "3.11.5", "4"), ("0_cp311", "py311h1_0", "0", "py_0", "1_cpython")))


@pytest.mark.parametrize("separator", [" ", ""])
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("versions", VERSIONS)
def test_it_means_the_same(versions: str, build: str, separator: str) -> None:
    _compare(f"tool{separator}{versions}{build}")


@pytest.mark.parametrize("name", ["__glibc", "_openmp_mutex", "__", "_", "a-b", "a_b_"])
@pytest.mark.parametrize("rest", ["", " >=2.35", "==1 0", " 3.*"])
def test_names_of_virtual_packages(name: str, rest: str) -> None:
    _compare(f"{name}{rest}")


def _compare(text: str) -> None:
    try:
        with as_value_error():
            theirs = MatchSpec(text)
    except ValueError:
        with pytest.raises(Exception, match="MatchSpec"):
            parse_conda(text)
        return
    ours = parse_conda(text)
    assert ours.name == str(getattr(theirs.name, "normalized", theirs.name))
    canonical = parse_conda(theirs.to_canonical_string())  # has brackets: rattler's own reading
    for version, name in CANDIDATES:
        assert ours.accepts_version(version) == canonical.accepts_version(version)
        assert ours.accepts_build(name, 0) == canonical.accepts_build(name, 0)


def test_the_usual_dependency_on_the_abi_needs_no_rattler() -> None:
    program = (
        "import sys\nfrom bridge.requirements.matchspec import parse_conda\n"
        "spec = parse_conda('python_abi 3.11.* *_cp311')\n"
        "print(spec.accepts_build('0_cp311', 0), spec.accepts_build('0_cp312', 0), 'rattler' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]
