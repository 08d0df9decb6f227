"""`bridge list`, `bridge owner` and `bridge why`, as far as the records alone can answer."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from bridge import prefix
from bridge.audit.packages import package_list
from bridge.audit.queries import Ownership, Reasons, ownership, why
from bridge.errors import UsageError
from bridge.fs import fingerprint
from bridge.model import PrefixState
from tests.support.audit_cases import LINUX, NAMES, NP, NUMPY, numpy
from tests.support.prefixes import SITE, PrefixBuilder, digest

RICH = "wheel:rich-13.0"


@pytest.fixture
def state(tmp_path: Path) -> PrefixState:
    """Conda's numpy and opencv, bridge's rich (which a person asked for) with markdown, pip's black and torch."""
    made = PrefixBuilder(tmp_path / "env")
    numpy(made)
    made.conda("opencv", "4.9", {"lib/cv.so": b"cv"}, depends=["numpy >=1"], requested=["opencv"])
    made.wheel("rich", "13.0", requires=["markdown>=3", "numpy"], specs=["rich>=13"])
    made.wheel("markdown", "3.6", requires=['importlib-metadata ; python_version < "3.10"'])
    made.distribution("black", "24.1", {f"{SITE}/black.py": b"b"}, requires=["markdown"], requested=True)
    made.distribution("torch", "2.5", installer=None)
    made.conda("zlib", "1.3", {"lib/cv.so": b"cv", "lib/z.so": b"z"})
    return prefix.read(made.root)


def validate(document: dict[str, object], name: str) -> None:
    schema = json.loads((resources.files("bridge") / "schemas" / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)


def test_list_has_every_package_once(state: PrefixState) -> None:
    document = package_list(state, NAMES).to_json()
    validate(document, "list")
    rows = package_list(state, NAMES).rows
    assert [(row.name, row.version, row.build, row.source, row.is_requested, row.pypi_names) for row in rows] == [
        ("black", "24.1", None, "unmanaged", True, ("black",)),
        ("markdown", "3.6", "py3_none_any_0", "wheel", False, ("markdown",)),
        ("numpy", "1.26.4", "0", "conda", False, ("numpy",)),
        ("opencv", "4.9", "0", "conda", True, ("opencv-python",)),
        ("python", "3.12.4", "h0_0_cpython", "conda", False, ()),
        ("rich", "13.0", "py3_none_any_0", "wheel", True, ("rich",)),
        ("torch", "2.5", None, "unmanaged", False, ("torch",)),
        ("zlib", "1.3", "0", "conda", False, ()),
    ]


def test_list_says_where_from(state: PrefixState) -> None:
    packages = {str(row["name"]): row for row in _packages(package_list(state, NAMES).to_json())}
    assert packages["numpy"] == {
        "name": "numpy",
        "version": "1.26.4",
        "build": "0",
        "subdir": "linux-64",
        "source": "conda",
        "channel": "file:///channel",
        "url": "file:///channel/linux-64/numpy-1.26.4-0.conda",
        "sha256": digest(b"numpy 1.26.4"),
        "license": None,
        "attestations": [],
        "wheel_attestations": [],
        "pypi_names": ["numpy"],
        "requested": False,
        "requested_specs": [],
        "installer": "conda",
        "distributions": [{"name": "numpy", "version": "1.26.4", "path": f"{SITE}/numpy-1.26.4.dist-info"}],
        "owner": NUMPY,
        "displaced": None,
        "displaced_by": None,
    }
    assert packages["rich"]["index"] == "file:///index"
    assert packages["rich"]["requested_specs"] == ["rich>=13"]
    assert packages["black"]["installer"] == "pip"
    assert (packages["torch"]["installer"], packages["torch"]["owner"]) == (None, "unknown:torch-2.5")


def _packages(document: dict[str, object]) -> list[dict[str, object]]:
    found = document["packages"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        (NP, [(NUMPY, "file")]),
        (f"{SITE}/rich-13.0.dist-info/METADATA", [(RICH, "file")]),
        (f"{SITE}/black.py", [("pip:black-24.1", "file")]),
        (f"{SITE}/black-24.1.dist-info/RECORD", [("pip:black-24.1", "file")]),
        (f"{SITE}/__pycache__/black.cpython-312.pyc", [("pip:black-24.1", "bytecode")]),
        ("conda-meta/numpy-1.26.4-0.json", [(NUMPY, "record")]),
        ("lib/cv.so", [("conda:opencv-4.9-0", "file"), ("conda:zlib-1.3-0", "file")]),
        ("lib/", [("wheel:markdown-3.6", "directory")]),
        (f"./{SITE}/numpy", [(NUMPY, "directory")]),
        ("nobody/knows", []),
    ],
)
def test_owner(path: str, owners: list[tuple[str, str]], state: PrefixState) -> None:
    found = ownership(state, path)
    validate(found.to_json(), "owner")
    said = [(each.owner, each.role) for each in found.owners]
    assert set(owners) <= set(said) if owners and owners[0][1] == "directory" else owners == said


def test_owner_says_what_is_promised_what_is_there_and_which_archive_it_came_in(state: PrefixState) -> None:
    (state.prefix / NP).write_bytes(b"changed")
    found: Ownership = ownership(state, NP, fingerprint(state.prefix, NP))
    document = found.to_json()
    validate(document, "owner")
    promised = next(each for each in state.installed if each.record.name == "numpy").entries[0].fingerprint
    assert document == {
        "prefix": str(state.prefix),
        "path": NP,
        "kind": "file",
        "sha256": digest(b"changed"),
        "owners": [
            {
                "owner": NUMPY,
                "package": "numpy",
                "source": "conda",
                "role": "file",
                "kind": "file",
                "sha256": promised.sha256,
                "size": promised.size,
                "files": None,
                "artifact": {
                    "url": "file:///channel/linux-64/numpy-1.26.4-0.conda",
                    "sha256": digest(b"numpy 1.26.4"),
                },
            }
        ],
    }


def reasons(state: PrefixState, name: str) -> Reasons:
    found = why(state, LINUX, NAMES, name)
    validate(found.to_json(), "why")
    return found


def test_why_names_who_asks_and_the_shortest_way_from_each_request(state: PrefixState) -> None:
    (reason,) = reasons(state, "markdown").packages
    assert [(edge.dependant.label, edge.text) for edge in reason.required_by] == [
        ("pip:black-24.1", "markdown"),
        (RICH, "markdown>=3"),
    ]
    assert [[edge.dependant.label for edge in chain] for chain in reason.chains] == [["pip:black-24.1"], [RICH]]
    assert (reason.row.is_requested, reason.rests_on) == (False, "dist-info")


def test_why_crosses_the_ecosystems(state: PrefixState) -> None:
    (reason,) = reasons(state, "numpy").packages
    assert [(edge.dependant.label, edge.text) for edge in reason.required_by] == [
        ("conda:opencv-4.9-0", "numpy >=1"),
        (RICH, "numpy"),
    ]
    (python,) = reasons(state, "python").packages
    chains = [[edge.dependant.label for edge in chain] for chain in python.chains]
    assert chains == [["conda:opencv-4.9-0", NUMPY], [RICH, NUMPY]]


def test_why_of_what_was_asked_for(state: PrefixState) -> None:
    (reason,) = reasons(state, "Rich").packages
    assert (reason.row.is_requested, reason.row.requested) == (True, ("rich>=13",))
    assert (reason.required_by, reason.chains) == ((), ())


@pytest.mark.parametrize(
    ("name", "label", "evidence"),
    [
        ("opencv-python", "conda:opencv-4.9-0", "name-map"),
        ("torch", "unknown:torch-2.5", "dist-info"),
        ("zlib", "conda:zlib-1.3-0", "none"),
        ("python", "conda:python-3.12.4-h0_0_cpython", "unknown"),
    ],
)
def test_why_says_on_what_the_names_rest(name: str, label: str, evidence: str, state: PrefixState) -> None:
    (reason,) = reasons(state, name).packages
    assert (reason.row.owner, reason.rests_on) == (label, evidence)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opencv-python", "provides the project opencv-python (name-map)"),
        ("torch", "another tool installed it"),
        ("zlib", "only a channel could have it"),
        ("rich", "no record says what channels had"),
    ],
)
def test_why_from_that_ecosystem_as_far_as_records_prove_it(name: str, said: str, state: PrefixState) -> None:
    (reason,) = reasons(state, name).packages
    assert said in reason.because
    assert reason.to_json()["because"] == reason.because


def test_why_of_what_was_bound_to_an_ecosystem(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("a", "1", specs=["pypi:a>=1"])
    (reason,) = reasons(prefix.read(made.root), "a").packages
    assert reason.because == "it was requested as `pypi:a>=1`, which binds it to wheel"


def test_why_of_what_is_not_there(state: PrefixState) -> None:
    with pytest.raises(UsageError) as caught:
        why(state, LINUX, NAMES, "absent")
    assert (caught.value.id, caught.value.exit_code) == ("not-installed", 2)


def test_why_ends_where_packages_ask_for_each_other(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("a", "1", requires=["b", 'a[y] ; extra == "x"'], extras=["x", "y"], specs=["a[x]"])
    made.wheel("b", "1", requires=["a"])
    (reason,) = reasons(prefix.read(made.root), "b").packages
    assert [[edge.dependant.label for edge in chain] for chain in reason.chains] == [["wheel:a-1"]]
    (asked,) = reasons(prefix.read(made.root), "a").packages
    assert [edge.dependant.label for edge in asked.required_by] == ["wheel:b-1"], "its own extra is no reason"


def test_requested_of_a_conda_package_was_written_where_it_was_built(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.conda_python("a", "1", requested=True)
    assert [row.is_requested for row in package_list(prefix.read(made.root), NAMES).rows] == [False, False]


def test_what_another_installer_replaced_or_removed_is_marked(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("rich", "13.0")
    made.wheel("markdown", "3.6")
    numpy(made)
    for gone in ("rich-13.0", "markdown-3.6"):
        shutil.rmtree(made.root / SITE / f"{gone}.dist-info")
    made.distribution("rich", "14.0")
    state = prefix.read(made.root)
    document = package_list(state, NAMES).to_json()
    validate(document, "list")
    found = {row["owner"]: (row["displaced"], row["displaced_by"]) for row in _packages(document)}
    assert found["wheel:rich-13.0"] == ("replaced", "pip:rich-14.0")
    assert found["wheel:markdown-3.6"] == ("removed", None)
    assert found["pip:rich-14.0"] == found[NUMPY] == (None, None)
    reasons = {each.row.owner: each.because for each in why(state, LINUX, NAMES, "rich").packages}
    assert reasons["wheel:rich-13.0"] == "its record is no longer true: it was replaced by pip:rich-14.0"
    assert "another tool installed it" in reasons["pip:rich-14.0"]
