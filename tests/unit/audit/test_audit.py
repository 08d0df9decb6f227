"""The audit: each kind of finding is found, named and levelled; what is sound gives nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge import prefix
from bridge.audit.checks import CHECKS
from bridge.audit.dependencies import prefix_records
from bridge.audit.finding import LEVELS, Level, Report, grouped
from bridge.audit.look.observe import observe
from bridge.audit.run import audit, judge
from bridge.audit.view import make_view
from bridge.errors import FindingsError, InterruptedPrefixError
from bridge.index.markup import Status
from bridge.model import IndexFile, PrefixState
from bridge.transaction.commit import change
from bridge.transaction.recovery import recover
from converters.target import Target
from tests.support.audit_cases import CLEAN, FILES, LINUX, NAMES, NP, NUMPY, UNOWNED, Case, numpy
from tests.support.audit_consequence_cases import CONSEQUENCES
from tests.support.audit_import_cases import IMPORTS, IS_HASHED_AS_3_12
from tests.support.audit_machine_cases import CACHES, NATIVE, PROGRAMS
from tests.support.audit_record_cases import RECORDS, REQUIREMENTS
from tests.support.audit_setting_cases import SETTINGS
from tests.support.audit_startup_cases import STARTUP
from tests.support.prefixes import SITE, PrefixBuilder, digest

CASES = [
    *CLEAN,
    *FILES,
    *UNOWNED,
    *RECORDS,
    *REQUIREMENTS,
    *NATIVE,
    *PROGRAMS,
    *STARTUP,
    *IMPORTS,
    *SETTINGS,
    *CACHES,
    *CONSEQUENCES,
]


def examined(made: PrefixBuilder, target: Target = LINUX, environ: Mapping[str, str] | None = None) -> Report:
    return audit(made.root, target, NAMES, environ=environ)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_gives_exactly_these_findings(case: Case, tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    case.build(made)
    report = examined(made, case.target, case.environ(tmp_path))
    found = [(each.id, each.level, each.path, each.owner, each.by) for each in report.findings]
    assert sorted(found, key=str) == sorted(case.expected, key=str), "\n".join(map(str, report.findings))
    jsonschema.validate(report.to_json(), schema("audit"))
    assert all(each.evidence for each in report.findings)
    failure = report.failure()
    assert isinstance(failure, FindingsError) is any(level == "error" for _, level, *_ in case.expected)


BRIDGE_FIX = "bridge audit -p ENV --fix"
PIP = "pip --python ENV/bin/python install"
REPAIRS = [
    ("missing", {"missing-file": BRIDGE_FIX}),
    ("modified", {"modified-file": BRIDGE_FIX}),
    ("a conda package over what pip had put there", {"clobbered-file": ""}),
    (
        "pip over a conda package, another version",
        dict.fromkeys(("clobbered-file", "missing-file"), "bridge adopt -p ENV numpy"),
    ),
    (
        "pip beside a conda package, and what both have was removed",  # adopting is refused until pip's files are there
        {"unmanaged-distribution": f"{PIP} --force-reinstall --no-deps numpy==2.1.3"},
    ),
    ("pip over a conda package, the same version", {"clobbered-file": BRIDGE_FIX}),
    ("two records promise different bytes, and neither is there", {"double-owner": ""}),
    ("a link to a file that is gone", {"broken-link": BRIDGE_FIX}),
    ("a link to what nobody brings", {"broken-link": ""}),
    ("a pipe where a file was promised", {"unreadable-file": ""}),
    ("what pip left behind", {"leftover": BRIDGE_FIX}),
    ("the corpse of a dist-info", {"distribution-without-metadata": BRIDGE_FIX}),
    ("an empty record, whose files nobody claims now", {"broken-record": BRIDGE_FIX, "unowned-file": ""}),
    ("two records of one package", {"duplicate-record": BRIDGE_FIX}),
    ("pip put it there", {"unmanaged-distribution": "bridge adopt -p ENV rich"}),
    (
        "a dist-info without RECORD",
        {"distribution-without-record": f"{PIP} --ignore-installed --no-deps rich==13.0"},
    ),
    ("two dist-infos of one project", {"duplicate-distribution": f"rm -r ENV/{SITE}/Rich-12.0.dist-info"}),
    (
        "no more than METADATA of an older version",
        {
            "duplicate-distribution": f"rm -r ENV/{SITE}/rich-9.dist-info",
            "distribution-without-record": f"rm -r ENV/{SITE}/rich-9.dist-info",
        },
    ),
    ("what an upgrade left of pip's", {"duplicate-distribution": f"rm -r ENV/{SITE}/rich-12.0.dist-info"}),
    ("a conda package that was built with two dist-infos of one project", {"duplicate-distribution": ""}),
    ("conda needs what is not there", {"unmet-requirement": "bridge install -p ENV conda:b >=1"}),
    ("a wheel needs what is not there", {"unmet-requirement": "bridge install -p ENV pypi:pygments>=2"}),
    (
        "a version of before PEP 440, which pip reads no more",
        {"broken-record": f"{PIP} --force-reinstall --no-deps pytz"},
    ),
    ("made for another python", {"requires-python": "bridge update -p ENV rich"}),
    ("made for another platform, another python, a newer glibc", {"wheel-tag": "bridge update -p ENV b"}),
]


@pytest.mark.parametrize(("name", "expected"), REPAIRS, ids=[name for name, _ in REPAIRS])
def test_repair_is_a_command_that_exists(name: str, expected: dict[str, str], tmp_path: Path) -> None:
    from bridge.cli.group import declared

    made = PrefixBuilder(tmp_path / "env")
    next(case for case in CASES if case.name == name).build(made)
    findings = [each for each in examined(made).findings if each.id in expected]
    said = {each.id: " ".join(each.repair).replace(str(made.root), "ENV") for each in reversed(findings)}
    assert said == expected
    for command in (each.repair for each in findings if each.repair[:1] == ("bridge",)):
        parsed = declared(command[1]).make_context(command[1], list(command[2:]))
        assert parsed.params["prefix"] is not None


def schema(name: str) -> dict[str, object]:
    text = (resources.files("bridge") / "schemas" / f"{name}.json").read_text("utf-8")
    document = json.loads(text)
    assert isinstance(document, dict)
    jsonschema.Draft202012Validator.check_schema(document)
    return document


def test_every_kind_of_finding_has_a_case_within_its_level() -> None:
    levels = {check.id: check.level for check in CHECKS}
    assert len(levels) == len(CHECKS)
    seen = {(expected[0], expected[1]) for case in CASES for expected in case.expected}
    elsewhere = {"interrupted-transaction", "yanked-version", "tolerated-archive"}  # tried by whole commands
    elsewhere |= {"lock-missing", "lock-extra", "lock-other"}
    elsewhere |= {"no-file-locks", "project-status"}  # a test of their own
    if not IS_HASHED_AS_3_12:
        elsewhere |= {"stale-bytecode"}
    assert {name for name, _ in seen} == set(levels) - elsewhere
    for name, level in seen:
        assert LEVELS.index(level) >= LEVELS.index(levels[name]), f"{name} is worse than its table says"
    for name, worst in levels.items():
        assert name in elsewhere or (name, worst) in seen, f"no case shows {name} as {worst}"


def test_entry_points_of_a_start_file_replace_the_lines_of_its_pth(tmp_path: Path) -> None:
    """Python 3.15 reads `.start` files (PEP 829), and no `import` line of a `.pth` of the same name."""
    made = PrefixBuilder(tmp_path / "env", python="3.15.0")
    site = "lib/python3.15/site-packages"
    files = {f"{site}/a.start": b"# PEP 829\nos.path:exists\n", f"{site}/a.pth": b"import socket; socket.socket()\n"}
    made.conda("a", "1", files | {f"{site}/b.start": b"b:run\n", f"{site}/b.py": b"def run(): ...\n"})
    found = {(each.path, each.level) for each in examined(made).findings if each.id == "pth-runs-code"}
    assert found == {(f"{site}/a.start", "warning"), (f"{site}/b.start", "info")}


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system that refuses locks can be made here, so the call that it would refuse does."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("bridge.audit.look.settings.try_lock", refuse)
    made = PrefixBuilder(tmp_path / "env")
    made.write("conda-meta/history", b"")
    (found,) = [each for each in examined(made).findings if each.id == "no-file-locks"]
    assert (found.level, found.package, found.repair) == ("warning", None, ())
    assert found.evidence == "its file system cannot lock files: No locks available"


@pytest.mark.parametrize("fail_on", ["error", "warning", "info", None])
def test_fail_on(fail_on: Level | None, tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.write("mine", b"")
    failure = examined(made).failure(fail_on)
    assert (failure.exit_code if failure else 0) == (11 if fail_on == "info" else 0)


def interrupt(made: PrefixBuilder, copied: Path) -> None:
    with change(made.root) as transaction:
        assert examined(made).failure(None) is None, "a transaction that is under way is not interrupted"
        shutil.copytree(transaction.staging.parent, copied)
        raise KeyboardInterrupt


def test_interrupted_prefix_is_never_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MUST (reliability 2.2): an unsettled transaction gives `interrupted-transaction` (exit 9), never "clean"."""
    made = PrefixBuilder(tmp_path / "env")
    monkeypatch.setenv("BRIDGE_TXN_ID", "seven")
    with pytest.raises(KeyboardInterrupt):
        interrupt(made, tmp_path / "copied")
    shutil.copytree(
        tmp_path / "copied", made.root / "conda-meta/.bridge/txn/seven"
    )  # as if the process had been killed
    report = examined(made)
    assert [(each.id, each.level, each.repair) for each in report.findings] == [
        ("interrupted-transaction", "error", ("bridge", "recover", "-p", str(made.root)))
    ]
    failure = report.failure(None)
    assert isinstance(failure, InterruptedPrefixError)
    assert failure.exit_code == 9
    assert "seven" in failure.context[0]
    recover(made.root)
    assert examined(made).failure("info") is None


def test_document_is_that_of_the_contract(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    numpy(made)
    made.wheel("rich", "13.0")
    made.distribution("black", "24.1")
    promised = digest((made.root / NP).read_bytes())
    made.write(NP, b"flipped")
    assert examined(made).to_json() == {
        "prefix": str(made.root),
        "summary": {
            "packages": {"conda": 2, "wheel": 1, "unmanaged": 1},
            "files": 3 + 3 + 1 + 3 * 5,  # python; three conda-meta records; history; three projects
            "findings": {"error": 1, "warning": 0, "info": 1},
        },
        "findings": [
            {
                "id": "modified-file",
                "level": "error",
                "package": "numpy",
                "path": NP,
                "owner": NUMPY,
                "by": None,
                "evidence": f"sha256 {promised} was promised; on disk it is {digest(b'flipped')}",
                "repair": ["bridge", "audit", "-p", str(made.root), "--fix"],
            },
            {
                "id": "unmanaged-distribution",
                "level": "info",
                "package": "black",
                "path": f"{SITE}/black-24.1.dist-info",
                "owner": "pip:black-24.1",
                "by": None,
                "evidence": "no conda-meta record covers it; INSTALLER says pip",
                "repair": ["bridge", "adopt", "-p", str(made.root), "black"],
            },
        ],
        "accepted": [],
    }


def test_a_file_that_is_reached_by_two_names_counts_once(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.conda("base", "1", {}, links={"lib64": "lib"})
    before = examined(made)
    made.conda("a", "1", {"lib64/a.so": b"so"})
    assert examined(made).files == before.files + 2, "the library, and the record"


def test_plain_virtual_environment_is_not_told_off_file_by_file(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env", python=None)
    made.write("pyvenv.cfg", b"version = 3.12.4\n")
    made.write("bin/activate", b"")
    (made.root / "bin/python").symlink_to("/bin/sh")
    made.distribution("rich", "13.0")
    report = examined(made)
    assert report.findings == ()
    assert report.unowned == 3
    assert report.failure("warning") is None


class Yanked:
    """An index that took `rich 13.0` back, and one of two builds of `half 1.0`; it has archived `kept`."""

    statuses: Mapping[str, Status] = MappingProxyType({"kept": Status(word="archived", reason="use another")})

    def prefetch_files(self, projects: Iterable[str]) -> None:
        assert list(projects) == ["half", "kept", "rich"]

    def files(self, project: str) -> tuple[IndexFile, ...]:
        yanked = {"rich": ("broken", "broken"), "half": ("bad build", None), "kept": (None,)}[project]
        version = "13.0" if project == "rich" else "1.0"
        return tuple(
            IndexFile(
                project=project, filename=f"{project}-{version}.whl", version=version, url="", origin="", yanked=each
            )
            for each in yanked
        )


def test_a_yanked_version_is_found_where_an_index_is_asked(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("rich", "13.0.0")
    made.wheel("half", "1.0")
    made.wheel("kept", "1.0")
    assert examined(made).findings == ()
    archived, yanked = audit(made.root, LINUX, NAMES, index=Yanked()).findings
    assert (archived.id, archived.level, archived.owner) == ("project-status", "warning", "wheel:kept-1.0")
    assert archived.evidence == "kept is archived on its index: use another"
    assert (yanked.id, yanked.level, yanked.owner) == ("yanked-version", "warning", "wheel:rich-13.0.0")
    assert "broken" in yanked.evidence


def test_the_environment_s_own_pip_is_named_where_it_has_one(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.distribution("pip", "25.0")
    made.distribution("rich", "13.0", {f"{SITE}/rich.py": b"1"})
    made.write(f"{SITE}/rich.py", b"2")
    (finding,) = (each for each in examined(made).findings if each.id == "modified-file")
    assert finding.repair[:4] == (f"{made.root}/bin/python", "-m", "pip", "install")


@pytest.mark.parametrize("stated", [{"hashes": {"sha256": "a" * 64}}, {"hash": f"sha256={'a' * 64}"}])
def test_an_archive_is_installed_again_by_its_hash(tmp_path: Path, stated: object) -> None:
    """PEP 610: pip before 23.1 states `hash` alone."""
    made = PrefixBuilder(tmp_path / "env")
    url = "https://h.example/rich-13.0-py3-none-any.whl"
    direct = json.dumps({"url": url, "archive_info": stated}).encode()
    made.distribution("rich", "13.0", {f"{SITE}/rich.py": b"1", f"{SITE}/rich-13.0.dist-info/direct_url.json": direct})
    made.write(f"{SITE}/rich.py", b"2")
    (finding,) = (each for each in examined(made).findings if each.id == "modified-file")
    assert finding.repair[-1] == f"rich @ {url}#sha256={'a' * 64}"


def test_a_virtual_environment_is_repaired_with_pip(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env", python=None)
    made.write("pyvenv.cfg", b"version = 3.12.4\n")
    made.write("bin/activate", b"")
    (made.root / "bin/python").symlink_to("/bin/sh")
    made.distribution("rich", "13.0", requires=["pygments>=2"])
    (finding,) = (each for each in examined(made).findings if each.id == "unmet-requirement")
    assert finding.repair == ("pip", "--python", f"{made.root}/bin/python", "install", "pygments>=2")


def test_what_belongs_together_is_told_together(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.conda("a", "1", {f"share/{name}": b"1" for name in "abc"} | {"share/d": b"2"})
    made.write("share/d", b"changed")
    for name in "abc":
        (made.root / "share" / name).unlink()
    groups = grouped(examined(made).findings)
    assert sorted((group[0].id, len(group)) for group in groups) == [("missing-file", 3), ("modified-file", 1)]


def test_judging_is_pure(tmp_path: Path) -> None:
    """MUST: `judge` needs only its arguments: the same values, with the prefix gone, give the same report."""
    made = PrefixBuilder(tmp_path / "env")
    numpy(made)
    made.write(NP, b"flipped")
    state: PrefixState = prefix.read(made.root)
    observed = observe(state)
    before = judge(make_view(prefix_records(state, LINUX, NAMES), observed))
    made.root.rename(tmp_path / "elsewhere")
    assert judge(make_view(prefix_records(state, LINUX, NAMES), observed)) == before
    assert before.findings


def test_retargeted_link_is_found_where_a_record_says_where_it_leads(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.conda("a", "1", {"lib/a.so.1": b"so"}, links={"lib/a.so": "/etc/passwd"})
    state = prefix.read(made.root)
    (package,) = (each for each in state.installed if each.record.name == "a")
    promised = tuple(
        replace(entry, fingerprint=replace(entry.fingerprint, link="a.so.1")) if entry.path == "lib/a.so" else entry
        for entry in package.entries
    )
    others = tuple(each for each in state.installed if each is not package)
    state = replace(state, installed=(*others, replace(package, entries=promised)))
    report = judge(make_view(prefix_records(state, LINUX, NAMES), observe(state)))
    (finding,) = report.findings
    assert (finding.id, finding.level, finding.path) == ("modified-file", "error", "lib/a.so")
    assert "'a.so.1'" in finding.evidence
    assert "'/etc/passwd'" in finding.evidence


# --- random environments ----------------------------------------------------------------------------------------------

KINDS = ("conda", "conda_python", "wheel", "pip")
CONTENTS = st.lists(st.binary(min_size=1, max_size=24), min_size=1, max_size=4)
PACKAGES = st.lists(st.tuples(st.sampled_from(KINDS), CONTENTS), min_size=2, max_size=6)
FOLDERS = st.lists(st.sampled_from(["", "a/", "b/", "a/b/"]), min_size=24, max_size=24)


def populate(made: PrefixBuilder, packages: list[tuple[str, list[bytes]]], folders: list[str]) -> dict[str, str]:
    """Install the packages; payload path → the label of its owner."""
    owners: dict[str, str] = {}
    places = iter(folders)
    for number, (kind, contents) in enumerate(packages):
        name = f"p{number}"
        base = "share/" if kind == "conda" else f"{SITE}/"
        files = {f"{base}{next(places)}{name}_{index}.py": data for index, data in enumerate(contents)}
        if kind == "conda":
            made.conda(name, "1", files)
        elif kind == "conda_python":
            made.conda_python(name, "1", files=files)
        elif kind == "wheel":
            made.wheel(name, "1", files)
        else:
            made.distribution(name, "1", files)
        label = {"wheel": f"wheel:{name}-1", "pip": f"pip:{name}-1"}.get(kind, f"conda:{name}-1-0")
        owners |= dict.fromkeys(files, label)
    return owners


def told(report: Report) -> list[tuple[str, str, str | None, str | None]]:
    """The findings, but for the ones that say that pip was there."""
    return [
        (each.id, each.level, each.path, each.owner) for each in report.findings if each.id != "unmanaged-distribution"
    ]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(packages=PACKAGES, folders=FOLDERS, data=st.data())
def test_any_single_damage_is_found_and_named(
    packages: list[tuple[str, list[bytes]]], folders: list[str], data: st.DataObject
) -> None:
    """MUST (reliability T12): every seeded damage is found; a sound prefix gives no alarm."""
    with tempfile.TemporaryDirectory() as folder:
        made = PrefixBuilder(Path(folder, "env"))
        owners = populate(made, packages, folders)
        assert told(examined(made)) == []
        path = data.draw(st.sampled_from(sorted(owners)), label="path")
        damage = data.draw(st.sampled_from(["flip", "delete", "add", "swap", "empty", "record"]), label="damage")
        before = (made.root / path).read_bytes()
        expected = ("modified-file", "error", path, owners[path])
        if damage == "flip":
            where = data.draw(st.integers(0, len(before) * 8 - 1), label="bit")
            changed = bytearray(before)
            changed[where // 8] ^= 1 << where % 8
            made.write(path, bytes(changed))
        elif damage == "delete":
            (made.root / path).unlink()
            expected = ("missing-file", "error", path, owners[path])
        elif damage == "add":
            added = (
                f"{path.rpartition('/')[0]}/{data.draw(st.sampled_from(['new.py', 'new/x', 'new/y/z']), label='new')}"
            )
            made.write(added, before)
            top = f"{path.rpartition('/')[0]}/new"
            expected = ("unowned-file", "info", added if added.endswith("new.py") else top, None)  # type: ignore[assignment]
        elif damage == "swap":
            other = data.draw(st.sampled_from(sorted(owners)), label="other")
            assume(owners[other] != owners[path] and (made.root / other).read_bytes() != before)
            made.write(path, (made.root / other).read_bytes())
        elif damage == "empty":
            made.write(path, b"")
        else:
            records = sorted((made.root / "conda-meta").glob("p*.json"))
            assume(records)
            record = data.draw(st.sampled_from(records), label="record")
            record.write_bytes(record.read_bytes()[:-1])
            relative = record.relative_to(made.root).as_posix()
            assert ("broken-record", "error", relative, None) in told(examined(made))
            return
        assert told(examined(made)) == [expected]
