"""A path that is somebody's, or nobody's, is never overwritten unasked; and everything in the way is told at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge import fs, prefix
from bridge.errors import OwnershipError
from bridge.install.ownership import Conflict, Judgement, judge
from bridge.model import (
    Change,
    Defect,
    Entry,
    Fingerprint,
    Install,
    Installed,
    Operation,
    Plan,
    PrefixState,
    Reinstall,
    Remove,
    Resolved,
)
from bridge.prefix.claims import bytecode_source, unmanaged
from converters.record import Record
from converters.target import Python, Target
from tests.support.builders import install_distribution, install_record

SITE = "lib/python3.11/site-packages"
LINUX = Target(subdir="linux-64", python=Python(version="3.11.7"))
MACOS = Target(subdir="osx-arm64", python=Python(version="3.11.7"))


def package(name: str, version: str = "1.0", ecosystem: str = "wheel") -> Record:
    if ecosystem == "conda":
        return Record(ecosystem="conda", name=name, version=version, build="0", subdir="noarch")
    return Record(
        ecosystem="wheel", name=name, version=version, build="py3_none_any_0", subdir="noarch", pypi_names=(name,)
    )


def file(path: str, data: bytes | None = b"new") -> Entry:
    """`None`: a file whose bytes are only known once it is written."""
    digest = hashlib.sha256(data).hexdigest() if data is not None else None
    return Entry(path=path, fingerprint=Fingerprint(kind="file", sha256=digest))


def link(path: str, target: str | None) -> Entry:
    return Entry(path=path, fingerprint=Fingerprint(kind="symlink", link=target))


def folder(path: str) -> Entry:
    return Entry(path=path, fingerprint=Fingerprint(kind="directory"))


class Environment:
    """A prefix on the disk, and judgements of plans for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        install_record(root, "python", "3.11.7", files={"bin/python3.11": b"elf"}, links={"bin/python": "python3.11"})

    @property
    def state(self) -> PrefixState:
        return prefix.read(self.root)

    def installed(self, name: str) -> Installed:
        return next(each for each in self.state.installed if each.record.name == name)

    def put(self, path: str, data: bytes = b"there") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)

    def judge(
        self,
        new: Mapping[Record, Sequence[Entry]],
        *,
        old: Sequence[str] = (),
        target: Target = LINUX,
        adopt: bool = False,
        set_aside: bool = False,
        allow_clobber: Sequence[str] = (),
    ) -> Judgement:
        """`new` is installed; each package named in `old` is replaced where `new` has its name, else removed."""
        state = self.state
        gone = {each.record.name: each for each in state.installed if each.record.name in old}
        steps: list[Operation] = [
            Change(old=gone.pop(record.name), new=Resolved(record=record))
            if record.name in gone
            else Install(new=Resolved(record=record))
            for record in new
        ]
        steps += [Remove(old=each) for each in gone.values()]
        return judge(
            state,
            Plan(prefix=self.root, target=target, operations=tuple(steps), python=state.python),
            {record.identity: tuple(entries) for record, entries in new.items()},
            lambda path: fs.fingerprint(self.root, path),
            adopt=adopt,
            set_aside=set_aside,
            allow_clobber=allow_clobber,
        )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def refusal(judging: Callable[[], Judgement]) -> tuple[str, list[Conflict], OwnershipError]:
    with pytest.raises(OwnershipError) as caught:
        judging()
    assert caught.value.exit_code == 4
    conflicts = caught.value.objects["conflicts"]
    assert isinstance(conflicts, tuple)
    return caught.value.id, list(conflicts), caught.value


def test_an_empty_place_is_anybody_s(environment: Environment) -> None:
    assert environment.judge({package("x"): [file("bin/x"), file(f"{SITE}/x.py"), folder("share/x")]}) == Judgement()


# --- what stands in the prefix ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["bin/python", "bin/python3.11", "bin/python3", "bin/python3.12", "lib/libpython3.so"])
def test_a_wheel_never_brings_an_interpreter(environment: Environment, path: str) -> None:
    """W37: whether or not the path is there."""
    error_id, conflicts, _ = refusal(lambda: environment.judge({package("evil"): [file(path)]}))
    assert (error_id, conflicts[0].path) == ("owned-path", path)
    assert "python" in conflicts[0].owner


def test_another_package_s_path_is_refused_and_its_owner_named(environment: Environment) -> None:
    install_record(environment.root, "zlib", "1.3", files={"lib/libz.so": b"elf"})
    error_id, conflicts, error = refusal(lambda: environment.judge({package("evil"): [file("lib/libz.so")]}))
    assert error_id == "owned-path"
    assert (conflicts[0].owner, conflicts[0].package) == ("conda:zlib-1.3-0", "wheel:evil-1.0")
    assert "conda:zlib-1.3-0" in error.message
    assert "lib/libz.so" in error.message


def test_the_record_of_another_package_is_its_own(environment: Environment) -> None:
    path = environment.installed("python").meta_path
    error_id, _, _ = refusal(lambda: environment.judge({package("evil", ecosystem="conda"): [file(path)]}))
    assert error_id == "owned-path"


def test_equal_bytes_have_two_owners(environment: Environment) -> None:
    """Namespace packages bring the same empty `__init__.py`, one after the other."""
    path = f"{SITE}/google/__init__.py"
    install_record(environment.root, "google-a", "1.0", files={path: b""})
    assert environment.judge({package("google-b"): [file(path, b"")]}).shared == {path}


def test_equal_bytes_count_on_the_disk_not_in_the_record(environment: Environment) -> None:
    path = f"{SITE}/google/__init__.py"
    install_record(environment.root, "google-a", "1.0", files={path: b""})
    environment.put(path, b"edited")
    error_id, _, _ = refusal(lambda: environment.judge({package("google-b"): [file(path, b"")]}))
    assert error_id == "owned-path"
    (environment.root / path).unlink()
    assert environment.judge({package("google-b"): [file(path, b"")]}).shared == {path}


def test_what_the_plan_frees_is_not_in_the_way(environment: Environment) -> None:
    """The order of unlinking and linking does not matter, for both are judged as one."""
    install_record(environment.root, "x", "0.9", files={"bin/x": b"old", f"{SITE}/x.py": b"old"})
    install_record(environment.root, "y", "2.0", files={"bin/y": b"old"})
    new = [file("bin/x"), file(f"{SITE}/x.py"), file("bin/y")]
    assert environment.judge({package("x"): new}, old=["x", "y"]) == Judgement()


def test_a_reinstall_may_write_its_own_paths(environment: Environment) -> None:
    install_record(environment.root, "x", "1.0", files={"bin/x": b"old"})
    old = environment.installed("x")
    plan = Plan(
        prefix=environment.root,
        target=LINUX,
        operations=(Reinstall(old=old, new=Resolved(record=old.record)),),
    )
    entries = {old.record.identity: (file("bin/x"), file(old.meta_path))}
    assert judge(environment.state, plan, entries, lambda path: fs.fingerprint(environment.root, path)) == Judgement()


def test_a_path_of_nobody_is_refused_adopted_or_set_aside(environment: Environment) -> None:
    environment.put("bin/x")
    same, other = {package("x"): [file("bin/x", b"there")]}, {package("x"): [file("bin/x", b"other")]}
    error_id, conflicts, _ = refusal(lambda: environment.judge(same))
    assert (error_id, conflicts[0].owner) == ("unowned-path", "")
    assert environment.judge(same, adopt=True).adopted == {"bin/x"}
    assert environment.judge(same, set_aside=True).set_aside == {"bin/x"}
    assert refusal(lambda: environment.judge(other, adopt=True))[0] == "unowned-path"
    assert environment.judge(other, set_aside=True).set_aside == {"bin/x"}
    assert environment.judge(other, adopt=True, set_aside=True).set_aside == {"bin/x"}


def test_a_file_whose_bytes_are_not_known_yet_is_never_the_same(environment: Environment) -> None:
    environment.put("bin/x")
    assert refusal(lambda: environment.judge({package("x"): [file("bin/x", None)]}, adopt=True))[0] == "unowned-path"


def test_links_are_the_same_by_their_text(environment: Environment) -> None:
    (environment.root / "lib").mkdir()
    (environment.root / "lib/x.so").symlink_to("x.so.1")
    assert environment.judge({package("x"): [link("lib/x.so", "x.so.1")]}, adopt=True).adopted == {"lib/x.so"}
    assert (
        refusal(lambda: environment.judge({package("x"): [link("lib/x.so", "x.so.2")]}, adopt=True))[0]
        == "unowned-path"
    )
    assert refusal(lambda: environment.judge({package("x"): [link("lib/x.so", None)]}, adopt=True))[0] == "unowned-path"
    assert refusal(lambda: environment.judge({package("x"): [file("lib/x.so")]}, adopt=True))[0] == "unowned-path"


def test_what_pip_installed_belongs_to_it(environment: Environment) -> None:
    install_distribution(environment.root, SITE, "rich", "13.0", files={"rich.py": b"rich"})
    new = {
        package("rich", "13.0"): [file(f"{SITE}/rich.py", b"rich"), file(f"{SITE}/rich-13.0.dist-info/RECORD", None)]
    }
    error_id, conflicts, error = refusal(lambda: environment.judge(new))
    assert error_id == "owned-path"
    assert {conflict.owner for conflict in conflicts} == {"pip:rich-13.0"}
    assert error.hint is not None
    assert f"bridge adopt -p {environment.root} rich" in error.hint
    assert "--adopt" in error.hint
    assert environment.judge(new, adopt=True).adopted == {entry.path for entry in new[package("rich", "13.0")]}


@pytest.mark.parametrize(("name", "version"), [("rich", "14.0"), ("other", "13.0")])
def test_what_an_installer_generates_is_adopted_from_the_same_project_and_version_only(
    environment: Environment, name: str, version: str
) -> None:
    install_distribution(environment.root, SITE, "rich", "13.0", files={})
    new = {package(name, version): [file(f"{SITE}/rich-13.0.dist-info/RECORD", None)]}
    assert refusal(lambda: environment.judge(new, adopt=True))[0] == "owned-path"


def test_a_wheel_is_not_put_beside_another_version_that_pip_installed(environment: Environment) -> None:
    """A project has one dist-info, although no path of the two is the same."""
    install_distribution(environment.root, SITE, "rich", "13.0", files={"rich.py": b"rich"})
    new = {package("rich", "14.0"): [file(f"{SITE}/rich-14.0.dist-info/METADATA")]}
    error_id, conflicts, _ = refusal(lambda: environment.judge(new))
    assert error_id == "owned-path"
    assert [conflict.path for conflict in conflicts] == [f"{SITE}/rich-13.0.dist-info"]


def test_what_lies_behind_a_link_that_leaves_is_not_in_the_way(environment: Environment) -> None:
    install_record(environment.root, "demo", "1.0", files={}, links={"lib/alias": "real"})
    environment.put("lib/real/file")
    seen: list[str] = []

    def exists(path: str) -> Fingerprint | None:
        """Follow links on the way, as the system does."""
        seen.append(path)
        there = environment.root / path
        if there.is_symlink():
            return Fingerprint(kind="symlink")
        if not there.exists():
            return None
        return Fingerprint(kind="directory" if there.is_dir() else "file")

    state, new = environment.state, Resolved(record=package("demo", "2.0", "conda"))
    plan = Plan(
        prefix=environment.root,
        target=LINUX,
        operations=(Change(old=environment.installed("demo"), new=new),),
        python=state.python,
    )
    judge(state, plan, {new.record.identity: (file("lib/alias/file"),)}, exists)
    assert "lib/alias/file" not in seen


def test_a_distribution_that_a_record_covers_is_not_pip_s(environment: Environment) -> None:
    info = install_distribution(environment.root, SITE, "rich", "13.0", installer="pip")
    metadata = {f"{SITE}/{info.name}/METADATA": (info / "METADATA").read_bytes()}
    install_record(environment.root, "rich", "13.0", files=metadata)
    assert unmanaged(environment.state) == ()
    # RECORD is not among the record's own files: then it is nobody's.
    new = {package("evil"): [file(f"{SITE}/rich-13.0.dist-info/RECORD")]}
    assert refusal(lambda: environment.judge(new))[0] == "unowned-path"


def test_bytecode_belongs_to_the_owner_of_its_module(environment: Environment) -> None:
    install_record(environment.root, "x", "1.0", files={f"{SITE}/x.py": b"x"})
    cache = f"{SITE}/__pycache__/x.cpython-311.pyc"
    environment.put(cache)
    assert environment.judge({package("x", "2.0"): [file(f"{SITE}/x.py"), file(cache)]}, old=["x"]) == Judgement()
    assert refusal(lambda: environment.judge({package("evil"): [file(cache)]}))[0] == "unowned-path"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/__pycache__/m.cpython-312.pyc", "a/m.py"),
        ("__pycache__/m.cpython-312.opt-1.pyc", "m.py"),
        ("a/__pycache__/m.f-12.py312.nbi", "a/m.py"),
        ("a/m.pyc", None),
        ("a/my__pycache__/m.pyc", None),
        ("a/__pycache__/m.txt", None),
    ],
)
def test_the_module_of_a_cache(path: str, expected: str | None) -> None:
    assert bytecode_source(path) == expected


# --- two packages of one plan -----------------------------------------------------------------------------------------


def test_two_packages_of_a_plan_may_share_equal_bytes_only(environment: Environment) -> None:
    a, b = package("a"), package("b")
    assert environment.judge({a: [file("share/x", b"1")], b: [file("share/x", b"1")]}) == Judgement()
    error_id, conflicts, error = refusal(
        lambda: environment.judge({a: [file("share/x", b"1")], b: [file("share/x", b"2")]})
    )
    assert (error_id, len(conflicts)) == ("clobber", 1)
    assert "wheel:a-1.0" in error.message
    assert "wheel:b-1.0" in error.message
    assert refusal(lambda: environment.judge({a: [file("bin/x", None)], b: [file("bin/x", None)]}))[0] == "clobber"


def test_equal_bytes_at_one_path_hide_no_conflict_at_the_next(environment: Environment) -> None:
    shared, a, b = file("share/a", b"1"), package("a"), package("b")
    new = {a: [shared, file("share/b", b"1")], b: [shared, file("share/b", b"2")]}
    assert [each.path for each in refusal(lambda: environment.judge(new))[1]] == ["share/b"]
    new = {a: [file("share/a"), shared, file("share/b", b"1")], b: [shared, file("share/b", b"2")]}
    assert [each.path for each in refusal(lambda: environment.judge(new))[1]][-1] == "share/b"


def test_two_packages_may_bring_the_same_directory(environment: Environment) -> None:
    a, b = package("a", ecosystem="conda"), package("b", ecosystem="conda")
    (environment.root / "share").mkdir()
    assert environment.judge({a: [folder("share")], b: [folder("share"), file("share/b")]}) == Judgement()


@pytest.mark.parametrize(
    ("patterns", "yielding"),
    [(["a"], "a"), (["b"], "b"), (["b*"], "b"), (["b:share/*"], "b"), (["a", "b:lib/*"], "a")],
)
def test_the_named_package_yields(environment: Environment, patterns: list[str], yielding: str) -> None:
    a, b = package("a"), package("b")
    new = {a: [file("share/x", b"1")], b: [file("share/x", b"2")]}
    found = environment.judge(new, allow_clobber=patterns)
    assert found.yielded == {package(yielding).identity: frozenset({"share/x"})}


@pytest.mark.parametrize("patterns", [["*"], ["a", "b"], ["c"], ["b:lib/*"]])
def test_a_clobber_needs_exactly_one_that_stays(environment: Environment, patterns: list[str]) -> None:
    a, b = package("a"), package("b")
    new = {a: [file("share/x", b"1")], b: [file("share/x", b"2")]}
    assert refusal(lambda: environment.judge(new, allow_clobber=patterns))[0] == "clobber"


def test_a_wheel_yields_by_the_name_of_its_project(environment: Environment) -> None:
    """`pypi-jq` is the native name of the project jq, for conda's jq is something else."""
    install_record(environment.root, "a", "1.0", files={"bin/jq": b"old"})
    jq = replace(package("pypi-jq"), pypi_names=("jq",))
    for pattern in ("jq", "pypi-jq"):
        found = environment.judge({jq: [file("bin/jq")]}, allow_clobber=[pattern])
        assert found.yielded == {jq.identity: frozenset({"bin/jq"})}


def test_one_of_all_that_bring_a_path_keeps_it(environment: Environment) -> None:
    """As LICENSE at the root of many packages: `*` alone names no path, so it decides nothing."""
    a, b, c = package("a"), package("b"), package("c")
    new = {each: [file("LICENSE", each.name.encode())] for each in (a, b, c)}
    found = environment.judge(new, allow_clobber=["*:LICENSE"])
    assert found.yielded == {each.identity: frozenset({"LICENSE"}) for each in (b, c)}
    refused = refusal(lambda: environment.judge(new))[2]
    assert refused.hint is not None
    assert "--allow-clobber b" in refused.hint


def test_a_package_may_yield_to_one_that_is_installed(environment: Environment) -> None:
    install_record(environment.root, "a", "1.0", files={"share/x": b"old"})
    b = package("b")
    assert environment.judge({b: [file("share/x")]}, allow_clobber=["b"]).yielded == {
        b.identity: frozenset({"share/x"})
    }
    assert refusal(lambda: environment.judge({b: [file("share/x")]}, allow_clobber=["a"]))[0] == "owned-path"


def test_nobody_yields_a_record(environment: Environment) -> None:
    path = environment.installed("python").meta_path
    new = {package("evil", ecosystem="conda"): [file(path)]}
    assert refusal(lambda: environment.judge(new, allow_clobber=["*"]))[0] == "owned-path"


def test_a_new_python_s_own_files_are_its_own(environment: Environment) -> None:
    python, other = package("python", "3.12.0", "conda"), package("evil", ecosystem="conda")
    new = {other: [file("bin/python3.12", b"2")], python: [file("bin/python3.12", b"1")]}
    error_id, conflicts, _ = refusal(lambda: environment.judge(new))
    assert (error_id, conflicts[0].owner) == ("owned-path", "conda:python-3.12.0-0")


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_a_file_where_a_directory_is_needed(environment: Environment) -> None:
    """W43, between packages and against the prefix."""
    a, b = package("a"), package("b")
    assert refusal(lambda: environment.judge({a: [file("share/x")], b: [file("share/x/y")]}))[0] == "path-collision"
    install_record(environment.root, "old", "1.0", files={"share/x": b"old"})
    error_id, conflicts, _ = refusal(lambda: environment.judge({b: [file("share/x/y")]}))
    assert (error_id, conflicts[0].owner, conflicts[0].path) == ("path-collision", "conda:old-1.0-0", "share/x")
    assert environment.judge({b: [file("share/x/y")]}, old=["old"]) == Judgement()
    environment.put("etc")
    assert refusal(lambda: environment.judge({b: [file("etc/y")]}))[1][0].owner == ""


def test_a_directory_where_a_file_is_due(environment: Environment) -> None:
    install_record(environment.root, "old", "1.0", files={"share/x/y": b"old"})
    error_id, conflicts, _ = refusal(lambda: environment.judge({package("b"): [file("share/x")]}))
    assert (error_id, conflicts[0].owner) == ("path-collision", "conda:old-1.0-0")
    assert environment.judge({package("b"): [file("share/x")]}, old=["old"]) == Judgement()
    (environment.root / "share/empty").mkdir()
    assert refusal(lambda: environment.judge({package("b"): [file("share/empty")]}))[0] == "path-collision"


def test_nothing_is_written_through_a_symlink(environment: Environment, tmp_path: Path) -> None:
    """W46."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (environment.root / "lib").mkdir()
    (environment.root / "lib/pkg").symlink_to(outside)
    error_id, conflicts, _ = refusal(lambda: environment.judge({package("x"): [file("lib/pkg/deep/x.py")]}))
    assert (error_id, conflicts[0].path) == ("path-symlink", "lib/pkg")


@pytest.mark.parametrize(
    ("first", "second", "is_refused_on"),
    [
        ("share/Foo", "share/foo", {"macos"}),
        ("share/e\u0301", "share/\u00e9", {"macos", "linux"}),
        ("share/STRASSE", "share/stra\u00dfe", {"macos"}),
        ("share/a", "share/b", set()),
    ],
)
@pytest.mark.parametrize("is_installed", [True, False])
def test_two_spellings_of_one_name(
    environment: Environment, first: str, second: str, is_refused_on: set[str], is_installed: bool
) -> None:
    """W40, W41: case matters where the file system takes it for the same; another normalisation always."""
    new = {package("b"): [file(second)]}
    if is_installed:
        install_record(environment.root, "a", "1.0", files={first: b"1"})
    else:
        new[package("a")] = [file(first)]
    for name, target in (("macos", MACOS), ("linux", LINUX)):
        if name in is_refused_on:
            assert refusal(partial(environment.judge, new, target=target))[0] == "path-collision"
        else:
            assert environment.judge(new, target=target) == Judgement()


# --- the error --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "said", "lines"), [
    (1, "", 0),
    (2, " (and 1 more conflict)", 2),
    (10, " (and 9 more conflicts)", 10),
    (11, " (and 10 more conflicts)", 11),
])  # fmt: skip
def test_the_message_counts_the_other_conflicts(environment: Environment, count: int, said: str, lines: int) -> None:
    for number in range(count):
        environment.put(f"share/{number:02}")
    new = {package("x"): [file(f"share/{number:02}") for number in range(count)]}
    _, conflicts, error = refusal(lambda: environment.judge(new))
    first = min(conflicts, key=lambda conflict: conflict.path)
    assert error.message == first.text + said
    assert len(error.context) == lines


def test_all_conflicts_are_told_at_once_in_ten_lines_at_most(environment: Environment) -> None:
    for number in range(15):
        environment.put(f"share/{number:02}")
    new = {package("x"): [file(f"share/{number:02}") for number in range(15)]}
    error_id, conflicts, error = refusal(lambda: environment.judge(new))
    assert (error_id, len(conflicts), len(error.context)) == ("unowned-path", 15, 11)
    assert error.context[-1] == "and 5 more"
    assert "14 more conflicts" in error.message
    assert error.hint is not None
    assert "--set-aside" in error.hint


@pytest.mark.parametrize("data", [b"", b'{"name": "x', b"\xff"])
def test_a_record_that_cannot_be_read_stops_every_change(environment: Environment, data: bytes) -> None:
    """Who owns what is not known."""
    (environment.root / "conda-meta" / "x-1-0.json").write_bytes(data)
    with pytest.raises(OwnershipError) as caught:
        environment.judge({package("y"): [file("share/y")]})
    assert (caught.value.id, caught.value.exit_code) == ("broken-record", 4)
    assert "audit" in (caught.value.hint or "")


def test_a_defect_of_pip_s_own_stops_nothing(environment: Environment) -> None:
    info = install_distribution(environment.root, SITE, "stray", "1.0")
    (info / "METADATA").unlink()
    assert [defect.id for defect in environment.state.defects] == ["distribution-without-metadata"]
    assert isinstance(environment.state.defects[0], Defect)
    assert environment.judge({package("y"): [file("share/y")]}) == Judgement()


PATHS = st.lists(st.sampled_from(["a", "b", "B", "lib", "x.py"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=100, deadline=None)
@given(
    standing=st.dictionaries(PATHS, st.binary(max_size=1), max_size=4),
    loose=st.dictionaries(PATHS, st.binary(max_size=1), max_size=3),
    brought=st.dictionaries(PATHS, st.binary(max_size=1), min_size=1, max_size=4),
)
def test_no_byte_that_is_there_is_ever_overwritten_unasked(
    standing: dict[str, bytes], loose: dict[str, bytes], brought: dict[str, bytes]
) -> None:
    """Without options, an accepted plan MUST NOT change the bytes of any path that is not in the plan's own gift."""
    assume(not any(path.startswith(f"{other}/") for path in loose | standing for other in loose | standing))
    disk = loose | standing
    entries = tuple(
        Entry(path=path, fingerprint=Fingerprint(kind="file", sha256=hashlib.sha256(data).hexdigest()))
        for path, data in standing.items()
    )
    folders = {"/".join(path.split("/")[:depth]) for path in disk for depth in range(1, path.count("/") + 1)}

    def exists(path: str) -> Fingerprint | None:
        if path in disk:
            return Fingerprint(kind="file", sha256=hashlib.sha256(disk[path]).hexdigest())
        return Fingerprint(kind="directory") if path in folders else None

    record = package("old", ecosystem="conda")
    old = Installed(record=record, meta_path=f"conda-meta/{record.identity}.json", entries=entries)
    root = Path("/nowhere")
    new = package("new")
    plan = Plan(prefix=root, target=LINUX, operations=(Install(new=Resolved(record=new)),))
    manifest = {new.identity: tuple(file(path, data) for path, data in brought.items())}
    try:
        found = judge(PrefixState(prefix=root, installed=(old,)), plan, manifest, exists)
    except OwnershipError as error:
        conflicts = error.objects["conflicts"]
        assert isinstance(conflicts, tuple)
        assert conflicts
        return
    assert not found.adopted
    assert not found.set_aside
    for path, data in brought.items():
        assert path not in disk or disk[path] == data
        assert path not in folders
        assert not any(path.startswith(f"{other}/") for other in disk | brought if other != path)
