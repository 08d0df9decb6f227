"""From what is installed and what is to be: the operations between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.errors import NoSolutionError, UsageError
from bridge.install.plan import diff, matching, removal, with_unmanaged
from bridge.model import Distribution, Entry, Fingerprint, Installed, PrefixState, Resolution, Resolved
from converters.record import Record
from converters.target import Python, Target

PREFIX = Path("env")
TARGET = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.28", "0"),))


def record(name: str, version: str = "1.0", **fields: object) -> Record:
    """A record; a wheel where `wheel` is true."""
    is_wheel = fields.pop("wheel", False)
    facts = {"name": name, "version": version, "build": "0", "subdir": "noarch", "sha256": f"{name}{version}"} | fields
    if is_wheel:
        facts |= {"ecosystem": "wheel", "pypi_names": fields.get("pypi_names", (name,))}
    return Record(**({"ecosystem": "conda"} | facts))  # type: ignore[arg-type]


def installed(found: Record, *requested: str) -> Installed:
    return Installed(record=found, meta_path=f"conda-meta/{found.identity}.json", entries=(), requested=requested)


def state(*packages: Installed, python: str = "3.11.4") -> PrefixState:
    return PrefixState(prefix=PREFIX, installed=packages, python=Python(version=python))


def solution(*packages: Resolved, python: str = "3.11.4") -> Resolution:
    return Resolution(target=TARGET.with_python(Python(version=python)), packages=packages)


def kinds(before: PrefixState, after: Resolution) -> list[tuple[str, str]]:
    """The operations as (kind, name)."""
    found = []
    for operation in diff(before, after, PREFIX).operations:
        there = getattr(operation, "new", None) or operation.old  # type: ignore[union-attr]
        found.append((type(operation).__name__, there.record.name))
    return found


PY = installed(record("python", "3.11.4"), "python")
RICH = record("rich", wheel=True)


class TestDiff:
    def test_a_new_package_is_installed_and_an_old_one_kept(self) -> None:
        before = state(PY, installed(RICH, "rich"))
        after = solution(Resolved(record=PY.record), Resolved(record=RICH), Resolved(record=record("new")))
        assert kinds(before, after) == [("Install", "new")]
        assert len(diff(before, after, PREFIX).keep) == 2

    def test_another_version_or_build_is_a_change(self) -> None:
        for other in (record("rich", "2.0", wheel=True), record("rich", wheel=True, sha256="other")):
            assert kinds(state(PY, installed(RICH)), solution(Resolved(record=PY.record), Resolved(record=other))) == [
                ("Change", "rich")
            ]

    def test_a_project_that_changes_its_ecosystem_and_its_name_is_a_change(self) -> None:
        before = state(PY, installed(record("torch", wheel=True)))
        after = solution(Resolved(record=PY.record), Resolved(record=record("pytorch", pypi_names=("torch",))))
        assert kinds(before, after) == [("Change", "pytorch")]

    def test_what_is_in_no_solution_is_removed(self) -> None:
        assert kinds(state(PY, installed(RICH)), solution(Resolved(record=PY.record))) == [("Remove", "rich")]

    def test_what_is_asked_for_now_is_installed_again_so_that_its_records_say_so(self) -> None:
        before = state(PY, installed(RICH))
        after = solution(Resolved(record=PY.record), Resolved(record=RICH, requested=("rich",)))
        assert kinds(before, after) == [("Reinstall", "rich")]
        assert kinds(state(PY, installed(RICH, "rich")), after) == []

    def test_source_code_is_the_same_by_its_revision_and_its_place(self) -> None:
        at: dict[str, Any] = {"revision": "a" * 40, "url": "git+https://host.example/one.git", "wheel": True}
        before = state(PY, installed(record("rich", **at), "rich"))
        cases: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
            ({}, []),
            ({"revision": "b" * 40}, [("Change", "rich")]),
            ({"url": "git+https://host.example/other.git"}, [("Change", "rich")]),
            ({"revision": None}, [("Change", "rich")]),
        ]
        for change, expected in cases:
            after = solution(Resolved(record=PY.record), Resolved(record=record("rich", **{**at, **change})))
            assert kinds(before, after) == expected

    def test_the_python_is_that_of_the_solution_or_else_the_installed_one(self) -> None:
        assert diff(state(PY), solution(Resolved(record=PY.record), python="3.12.1"), PREFIX).python == Python(
            version="3.12.1"
        )
        assert diff(state(PY), Resolution(target=TARGET, packages=()), PREFIX).python == Python(version="3.11.4")

    @pytest.mark.parametrize(("version", "again"), [("3.11.9", []), ("3.12.0", ["noarch", "rich"])])
    def test_python_s_minor_brings_back_what_lies_in_site_packages(self, version: str, again: list[str]) -> None:
        noarch, compiled = record("noarch", noarch="python"), record("library", subdir="linux-64")
        before = state(PY, installed(RICH), installed(noarch), installed(compiled))
        rest = [Resolved(record=found) for found in (RICH, noarch, compiled)]
        after = solution(Resolved(record=record("python", version)), *rest, python=version)
        assert kinds(before, after) == sorted(
            [("Change", "python"), *(("Reinstall", name) for name in again)], key=lambda each: each[1]
        )


class TestRemoval:
    BARN = record("barn", wheel=True, requirements=("cow[milk]", 'never; python_version < "3"'))
    COW = record("cow", wheel=True, requirements=("grass", 'bucket; extra == "milk"'))
    GRASS, BUCKET = record("grass", wheel=True), record("bucket", wheel=True)

    def farm(self, *asked: str) -> PrefixState:
        packages = (self.BARN, self.COW, self.GRASS, self.BUCKET)
        return state(PY, *(installed(each, *([each.name] if each.name in asked else [])) for each in packages))

    def gone(self, before: PrefixState, *names: str) -> set[str]:
        return {operation.old.record.name for operation in removal(before, TARGET, names).operations}  # type: ignore[union-attr]

    def test_what_came_along_goes_along(self) -> None:
        assert self.gone(self.farm("barn"), "barn") == {"barn", "cow", "grass", "bucket"}

    def test_an_extra_that_nobody_asks_for_any_more_goes(self) -> None:
        assert self.gone(self.farm("barn", "cow"), "barn") == {"barn", "bucket"}

    def test_what_was_never_needed_stays(self) -> None:
        before = self.farm("barn")
        stranger = installed(record("stranger", wheel=True))
        assert "stranger" not in self.gone(state(*before.installed, stranger), "barn")

    def test_what_others_need_is_refused(self) -> None:
        with pytest.raises(NoSolutionError, match="grass cannot be removed: cow needs it"):
            removal(self.farm("barn"), TARGET, ["grass"])

    def test_many_that_need_it_are_counted_not_listed(self) -> None:
        many = [installed(record(f"needs{number:02}", wheel=True)) for number in range(30)]
        with pytest.raises(NoSolutionError, match=r"needs09 and 20 more need it$") as caught:
            removal(state(PY, *many), TARGET, ["python"])
        assert len(caught.value.objects["users"]) == 30  # type: ignore[arg-type]
        assert "delete the directory" in str(caught.value.hint)

    def test_several_at_once_may_need_each_other(self) -> None:
        assert self.gone(self.farm("barn", "grass"), "barn", "cow") == {"barn", "cow", "bucket"}

    def test_names_of_either_world(self) -> None:
        before = state(PY, installed(record("pytorch", pypi_names=("torch",))))
        assert [each.record.name for each in matching(before, "Torch")] == ["pytorch"]
        with pytest.raises(UsageError, match="not installed"):
            matching(before, "tensorflow")

    @pytest.mark.parametrize("is_turned", [False, True])
    def test_names_that_differ_by_a_hyphen_are_different_packages(self, is_turned: bool) -> None:
        """conda-forge has typing-extensions, which requires typing_extensions."""
        empty = installed(record("typing-extensions", requirements=("typing_extensions 1.0",)))
        whole = installed(record("typing_extensions", pypi_names=("typing-extensions",)))
        user = installed(record("user", requirements=("typing-extensions >=1",)), "user")
        wheel = installed(record("cow", wheel=True, requirements=("typing-extensions",)), "cow")
        pair = (whole, empty) if is_turned else (empty, whole)
        everything = {"user", "typing-extensions", "typing_extensions"}
        assert self.gone(state(PY, *pair, user), "user") == everything
        assert self.gone(state(PY, *pair, user, installed(record("x"), "x")), "x") == {"x"}
        assert self.gone(state(PY, *pair, user, wheel), "user") == {"user", "typing-extensions"}
        with pytest.raises(NoSolutionError, match="typing_extensions cannot be removed: typing-extensions needs it"):
            removal(state(PY, *pair), TARGET, ["conda:typing_extensions"])

    def test_a_name_may_be_bound_to_an_ecosystem(self) -> None:
        before = state(PY, installed(record("rich")), installed(RICH))
        assert [each.record.ecosystem for each in matching(before, "conda:rich")] == ["conda"]
        assert [each.record.ecosystem for each in matching(before, "pypi:Rich")] == ["wheel"]
        with pytest.raises(UsageError, match="pypi:python is not installed"):
            matching(before, "pypi:python")

    def test_of_several_projects_the_first_names_the_package(self) -> None:
        before = state(PY, installed(record("bundle", pypi_names=("alpha", "beta"))))
        assert [each.record.name for each in matching(before, "alpha")] == ["bundle"]
        with pytest.raises(UsageError, match="not installed"):
            matching(before, "beta")

    def test_without_its_python_a_prefix_has_none(self) -> None:
        assert removal(state(PY), TARGET, ["python"]).python is None

    def test_a_requirement_that_cannot_be_read_hides_none_after_it(self) -> None:
        user = installed(record("user", requirements=("not a ( requirement", "rich"), wheel=True), "user")
        with pytest.raises(NoSolutionError, match="user needs"):
            removal(state(PY, user, installed(RICH)), TARGET, ["rich"])

    def test_who_installed_what_bridge_does_not_know_is_named(self) -> None:
        for installer, said in (("uv", "uv installed it"), (None, "another tool installed it")):
            other = Distribution(path="lib/solo-1.dist-info", name="solo", version="1", installer=installer)
            with pytest.raises(UsageError) as caught:
                matching(PrefixState(prefix=PREFIX, installed=(PY,), distributions=(other,)), "solo")
            assert (caught.value.hint or "").startswith(said)


def test_distributions_with_a_record_of_their_files_can_be_planned_for() -> None:
    entry = Entry(path="lib/x.py", fingerprint=Fingerprint(kind="file"))
    found = [
        Distribution(path="lib/unknown-1.dist-info", name="unknown", version="1", installer="pip"),
        Distribution(path="lib/old-1-py3.12.egg", name="old", version="1", entries=(entry,)),
        Distribution(path="lib/pip_one-1.dist-info", name="pip-one", version="1", installer="pip", entries=(entry,)),
        Distribution(
            path="lib/asked-1.dist-info", name="asked", version="1", installer="uv", requested=True, entries=(entry,)
        ),
        Distribution(path="lib/other-1.dist-info", name="other", version="1", installer="flit", entries=(entry,)),
    ]
    planned = with_unmanaged(PrefixState(prefix=PREFIX, installed=(PY,), distributions=tuple(found)))
    assert [(each.record.name, each.requested) for each in planned.installed] == [
        ("python", ("python",)),
        ("pip-one", ()),
        ("asked", ("pypi:asked",)),
        ("other", ("pypi:other",)),
    ]
