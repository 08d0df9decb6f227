"""`bridge.requirements.files`: every format, table by table, and what is said where one is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement as Pep508

from bridge.config.builds import Formats
from bridge.errors import BridgeError, UnsafeInputError, UsageError
from bridge.requirements.files.local import direct_requirement
from bridge.requirements.files.reading import read
from bridge.requirements.files.values import FileRequirements
from tests.support.builders import make_wheel
from tests.support.sdists import make_sdist

A, B = "a" * 64, "b" * 64
WHEEL = "https://h.example/x-1.0-py3-none-any.whl"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def texts(found: FileRequirements) -> list[str]:
    return [requirement.text for requirement in found.requirements]


def told(error: BridgeError) -> str:
    return "\n".join([error.message, *error.context, error.hint or ""])


def refuse(path: Path, *words: str, **options: object) -> UsageError:
    """The error for a file; it names the file, and says all of `words`."""
    with pytest.raises(UsageError) as caught:
        read(path, environ={}, **options)  # type: ignore[arg-type]
    error = caught.value
    assert (error.id, error.exit_code) == ("requirement-file", 2)
    assert str(path.parent) in error.message
    assert [word for word in words if word not in told(error)] == [], told(error)
    assert "secret" not in told(error)
    return error


# requirements.txt


PIP: dict[str, tuple[str, dict[str, object]]] = {
    "names, comments, blank lines": (
        "# all\nnumpy\n\n  rich>=13  # why\n   # indented\n",
        {"requirements": ["numpy", "rich>=13"]},
    ),
    "a marker": (
        'torch[opt]>=2 ; python_version < "3.13"\n',
        {"requirements": ['torch[opt]>=2 ; python_version < "3.13"']},
    ),
    "continued": ("numpy \\\n  >=2 \\\n  ,<3\nrich\n", {"requirements": ["numpy   >=2   ,<3", "rich"]}),
    "continued to the end": ("numpy>=2\\", {"requirements": ["numpy>=2"]}),
    "repeated": ("numpy\nrich\nnumpy\n", {"requirements": ["numpy", "rich"]}),
    "a mark of the byte order": ("\ufeffnumpy\n", {"requirements": ["numpy"]}),
    "line ends of Windows": ("numpy\r\nrich\r\n", {"requirements": ["numpy", "rich"]}),
    "a URL": (f"x @ {WHEEL}\n", {"requirements": [f"x @ {WHEEL}"]}),
    "a URL with a hash": (
        f"x @ {WHEEL}#sha256={A}\n",
        {"requirements": [f"x @ {WHEEL}#sha256={A}"], "hashes": {"x": {A}}, "require_hashes": False},
    ),
    "a URL without a name": (
        f'{WHEEL} ; os_name == "posix"\n',
        {"requirements": [f'x @ {WHEEL} ; os_name == "posix"']},
    ),
    "hashes": (
        (
            f"x==1.0 \\\n    --hash=sha256:{A} \\\n    --hash sha256:{B.upper()}\n"
            f"y==2 --hash=sha256:{A} --hash=sha512:{A}{A}\n"
        ),
        {
            "requirements": ["pypi:x==1.0", "pypi:y==2"],
            "hashes": {"x": {A, B}, "y": {A}},
            "require_hashes": True,
        },
    ),
    "hashes of one project under two markers": (
        f'x==1 ; os_name == "nt" --hash=sha256:{A}\nx==2 ; os_name != "nt" --hash=sha256:{B}\n',
        {"hashes": {"x": {A, B}}},
    ),
    "indexes": (
        (
            "--index-url https://me:secret@i.example/simple\n--extra-index-url=https://j.example\n"
            "--extra-index-url https://k.example\n-f https://l.example/links.html\n--find-links absent\n"
        ),
        {
            "index_url": "https://me:secret@i.example/simple",
            "extra_index_urls": ("https://j.example", "https://k.example"),
            "find_links": ("https://l.example/links.html", "absent"),
        },
    ),
    "short options": (
        "-i https://i.example\n--no-index\n--pre\n--trusted-host=a:8 --trusted-host b\n--only-binary :all:\n",
        {
            "index_url": "https://i.example",
            "no_index": True,
            "pre": True,
            "trusted_hosts": ("a:8", "b"),
            "formats": Formats(only_binary=frozenset({":all:"})),
        },
    ),
    "only-binary taken back": ("--only-binary=:all:\n--only-binary=:none:\n", {"formats": Formats()}),
    "only-binary of one": ("--only-binary Num_py\n", {"formats": Formats(only_binary=frozenset({"num-py"}))}),
    "no-binary": ("--no-binary :all:\n", {"formats": Formats(no_binary=frozenset({":all:"}))}),
    "a variable": ("--index-url https://${USER}:${TOKEN}@i/\n", {"index_url": "https://me:${TOKEN}@i/"}),
    "bound": ("pypi:torch\n", {"requirements": ["pypi:torch"]}),
    "what does nothing": ("--prefer-binary\n--use-feature=fast-deps\nx\n", {"requirements": ["x"]}),
    "a URL, a semicolon and a space": (
        f'{WHEEL}; os_name == "posix"\ny @ {WHEEL.replace("x-", "y-")}; os_name == "nt"\n',
        {"requirements": [f'x @ {WHEEL} ; os_name == "posix"', f'y @ {WHEEL.replace("x-", "y-")} ; os_name == "nt"']},
    ),
    "nothing": ("", {"requirements": []}),
}


def said(found: FileRequirements) -> dict[str, object]:
    """The fields in a form that a table can hold."""
    plain: dict[str, object] = {field.name: getattr(found, field.name) for field in fields(found)}
    plain["requirements"] = texts(found)
    plain["constraints"] = [constraint.text for constraint in found.constraints]
    plain["hashes"] = {name: set(digests) for name, digests in found.hashes.items()}
    return plain


@pytest.mark.parametrize("case", PIP)
def test_pips_format(tmp_path: Path, case: str) -> None:
    text, expected = PIP[case]
    path = write(tmp_path, "requirements.txt", text)
    found = said(read(path, environ={"USER": "me"}))
    assert {name: found[name] for name in expected} == expected
    assert bool(found["warnings"]) == ("prefer-binary" in text or "${" in text)


def test_a_requirement_with_a_hash_is_bound_to_wheels(tmp_path: Path) -> None:
    (found,) = read(write(tmp_path, "r.txt", f"x==1 --hash=sha256:{A}"), environ={}).requirements
    assert (found.name, found.bound, found.kind) == ("x", "wheel", "pep508")


PIP_ERRORS: dict[str, tuple[str, tuple[str, ...]]] = {
    "no requirement": ("numpy\n>=2\n", ("line 2", "not a PEP 508 requirement", ">=2")),
    "a continued line is named by its first": ("a\nb\\\n ==\\\n x\n", ("line 2",)),
    "a comment ends what is continued": ("numpy>=2,\\\n# no\n<3\n", ("line 3", "<3")),
    "a hash sign within a word": ("x#y\n", ("line 1", "x#y")),
    "an editable that is not there": ("numpy\n-e ./src\n", ("line 2", "there is no folder", "src")),
    "an editable archive": ("-e https://h.example/archive/main.zip\n", ("line 1", "omit -e")),
    "version control": ("hg+https://h.example/x\n", ("line 1", "git repositories", "python -m build")),
    "a reference like an option": ("git+https://h.example/x@--upload-pack=x\n", ("line 1", "--upload-pack")),
    "an unknown option": ("--no-such-option\n", ("line 1", "no such option: --no-such-option")),
    "an option of another command": ("x --config-settings a=b\n", ("line 1", "--config-settings")),
    "an option without its value": ("--index-url\n", ("line 1", "--index-url")),
    "every release of one": ("--all-releases=x\n", ("line 1", "--all-releases for x")),
    "an option that pip has no more": ("--process-dependency-links\n", ("line 1", "--process-dependency-links")),
    "a quote that is open": ('--index-url "https://h\n', ("line 1", "quotation")),
    "a value too many": ("--pre numpy\n", ("line 1", "'numpy'")),
    "a requirement with an index": ("x --index-url https://me:secret@h\n", ("line 1", "--index-url", "of its own")),
    "a hash alone": (f"--hash=sha256:{A}\n", ("line 1", "--hash")),
    "a hash that is none": ("x==1 --hash=sha256:abc\n", ("line 1", "sha256:abc")),
    "a weak hash": (f"x==1 --hash=md5:{'a' * 32}\n", ("line 1", "not a hash")),
    "no sha256": (f"x==1 --hash=sha512:{A}{A}\n", ("line 1", "sha256")),
    "one hash is missing": (f"x==1 --hash=sha256:{A}\ny==1\n", ("line 2", "y==1", "no hash")),
    "all hashes are missing": ("--require-hashes\ny==1\n", ("line 2", "y==1", "no hash")),
    "a further file that is not there": ("\n-r other.txt\n", ("line 2", "there is no file", "other.txt")),
    "a further file from the network": ("-r https://me:secret@h/r.txt\n", ("line 1", "disk", "https://***@h/r.txt")),
    "a file that is not there": ("./x-1.0-py3-none-any.whl\n", ("line 1", "there is no file")),
    "a folder": (".\n", ("line 1", "is not a project", "pyproject.toml")),
    "a URL of no archive": ("https://me:secret@h.example/x.exe\n", ("line 1", "x.exe")),
    "too long": (f"x=={'1' * 5000}\n", ("line 1", "5003 characters")),
}


@pytest.mark.parametrize("case", PIP_ERRORS)
def test_wrong_lines_of_pips(tmp_path: Path, case: str) -> None:
    text, words = PIP_ERRORS[case]
    error = refuse(write(tmp_path, "requirements.txt", text), *words)
    assert error.objects["path"] == str(tmp_path / "requirements.txt")
    assert isinstance(error.objects["where"], int)


@pytest.mark.parametrize("line", ["{}x", "x{};", "x{}#", "x{}[", "x{}=", "{}\\\nx"])
def test_long_lines_take_no_time(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "requirements.txt", line.format(" " * (1 << 20)))
    started = time.process_time()
    try:
        outcome: object = texts(read(path, environ={}))
    except UsageError as error:
        outcome = error.objects["where"]
    assert outcome in (["x"], 1)
    assert time.process_time() - started < 1


def test_further_files_and_constraints(tmp_path: Path) -> None:
    write(tmp_path, "sub/more.txt", "rich\n./dist/x-1.0-py3-none-any.whl\n-c ../limits.txt\n-f dist\n")
    wheel = make_wheel(tmp_path / "sub/dist", "x", "1.0")
    write(tmp_path, "limits.txt", "numpy<2\n-r sub/others.txt\n")
    write(tmp_path, "sub/others.txt", "torch<3\n")
    path = write(tmp_path, "requirements.txt", "numpy\n-r sub/more.txt\n--requirement=sub/more.txt\npandas\n")
    found = read(path, environ={})
    assert texts(found) == ["numpy", "rich", f"x @ {wheel.as_uri()}", "pandas"]
    assert [constraint.text for constraint in found.constraints] == ["numpy<2", "torch<3"]
    assert found.find_links == (str(tmp_path / "sub/dist"),)


@pytest.mark.parametrize(
    "form", ["file:more.txt", "file:./more.txt", "file://{}/more.txt", "file://localhost{}/more.txt"]
)
def test_a_further_file_by_url(tmp_path: Path, form: str) -> None:
    """Conda's documentation writes `-r file:NAME` (conda#10815); pip reads these forms too."""
    write(tmp_path, "more.txt", "rich\n")
    line = form.format(tmp_path)
    pip_file = write(tmp_path, "requirements.txt", f"-r {line}\n-c {line}\n")
    environment = write(tmp_path, "environment.yml", f"dependencies: [python, pip: ['-r {line}']]\n")
    assert texts(read(pip_file, environ={})) == ["rich"]
    assert texts(read(environment, environ={})) == ["python", "rich"]


def test_files_that_lead_to_one_another(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "x\n-r b.txt\n")
    write(tmp_path, "b.txt", "y\n\n-r ./a.txt\n")
    refuse(path, "b.txt, line 3", "leads back to itself")
    for number in range(300):
        write(tmp_path, f"{number}.txt", f"-r {number + 1}.txt\n")
    refuse(tmp_path / "0.txt", "more than 200 files")


def test_a_constraint_has_no_extras(tmp_path: Path) -> None:
    write(tmp_path, "c.txt", "x[y]<2\n")
    refuse(write(tmp_path, "r.txt", "-c c.txt\n"), "c.txt, line 1", "extras")


PIP_READS = """
import json, sys
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
found = [[line.requirement for line in parse_requirements(path, session=PipSession())] for path in sys.argv[1:]]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_pip_agrees(tmp_path: Path) -> None:
    """What pip's own parser makes of the table above, where pip is installed: the same requirements, in order."""
    ours = {"bound", "a URL, a semicolon and a space"}  # pip's requirement parser comes after its file parser
    cases = [case for case, (_, expected) in PIP.items() if "requirements" in expected and case not in ours]
    paths = [write(tmp_path, f"{number}/requirements.txt", PIP[case][0]) for number, case in enumerate(cases)]
    command = [sys.executable, "-W", "ignore", "-c", PIP_READS, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No module named 'pip" in done.stderr:
        pytest.skip("this python has no pip to compare with")
    for case, path, lines in zip(cases, paths, json.loads(done.stdout), strict=True):
        asked = [wanted.removeprefix("pypi:") for wanted in texts(read(path, environ={}))]
        assert [name_of(line) for line in dict.fromkeys(lines)] == [name_of(text) for text in asked], case


def name_of(text: str) -> tuple[str, str]:
    if text.startswith("https:"):
        return "x", ""
    parsed = Pep508(text)
    return parsed.name, str(parsed.specifier)


# environment.yml


ENVIRONMENT = """
name: demo
channels:
  - conda-forge
  - nodefaults
  - file:///my/channel
dependencies:
  - python >=3.10,<3.13
  - numpy=1.26=py311_0
  - conda-forge::zlib
  - pip
  - pip:
    - rich[jupyter]>=13
    - -r more.txt
    - --extra-index-url https://j.example
    - six ; python_version < "3"  # a comment of pip's
prefix: /somewhere
"""


@pytest.mark.parametrize("name", ["environment.yml", "env.YAML", "environment"])
def test_an_environment(tmp_path: Path, name: str) -> None:
    write(tmp_path, "more.txt", "attrs\n")
    found = read(write(tmp_path, name, ENVIRONMENT), environ={})
    assert texts(found) == [
        "python >=3.10,<3.13",
        "numpy=1.26=py311_0",
        "conda-forge::zlib",
        "pip",
        "rich[jupyter]>=13",
        "attrs",
        'six ; python_version < "3"',
    ]
    assert [requirement.kind for requirement in found.requirements] == ["matchspec"] * 4 + ["pep508"] * 3
    assert (found.name, found.channels) == ("demo", ("conda-forge", "file:///my/channel"))
    assert found.extra_index_urls == ("https://j.example",)
    (warning,) = found.warnings
    assert "prefix has no effect" in warning


ENVIRONMENTS: dict[str, tuple[str, list[str]]] = {
    "nothing asked": ("name: x\ndependencies:\n", []),
    "an empty pip list": ("dependencies: [a, {pip: }]", ["a"]),
    "two pip lists": ("dependencies: [{pip: [x]}, a, {pip: [y]}]", ["x", "a", "y"]),
    "an alias": ("a: &list [x, y]\ndependencies: *list\n", ["x", "y"]),
    "a text in quotes": ("dependencies: [\"numpy >=2\", 'zlib']", ["numpy >=2", "zlib"]),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_environments(tmp_path: Path, case: str) -> None:
    text, expected = ENVIRONMENTS[case]
    assert texts(read(write(tmp_path, "e.yml", text), environ={})) == expected


def test_an_entry_bound_to_an_ecosystem(tmp_path: Path) -> None:
    path = write(tmp_path, "environment.yml", "dependencies: ['pypi:rich>=13', 'conda:numpy >=2']\n")
    assert [(one.name, one.bound) for one in read(path, environ={}).requirements] == [
        ("rich", "wheel"),
        ("numpy", "conda"),
    ]


def test_what_does_nothing_in_an_environment_is_told(tmp_path: Path) -> None:
    text = "dependencies: [a]\nfoo: {A: b}\nplatforms: [osx-64]\ncategory: dev\n"
    found = read(write(tmp_path, "e.yml", text), environ={}, platform="linux-64")
    assert [warning.split(": ", 1)[1] for warning in found.warnings] == [
        "foo has no effect: bridge does not know this key",
        "category has no effect: it names a group of dependencies for conda-lock; all of them are asked for",
        "platforms has osx-64, and this is solved for linux-64",
    ]
    refuse(write(tmp_path, "e.yml", "platforms: [linux]\n"), "platforms[0]", "linux is not a platform", "linux-64")


def test_variables_are_texts(tmp_path: Path) -> None:
    path = write(tmp_path, "e.yml", "dependencies: [a]\nvariables: {QT_API: pyside2, N: 1}\n")
    assert read(path, environ={}).variables == {"QT_API": "pyside2", "N": "1"}
    refuse(write(tmp_path, "e.yml", "variables: {a b: 1}\n"), "variables.a b", "not the name")
    refuse(write(tmp_path, "e.yml", "variables: {A: [1]}\n"), "variables.A", "a list")


SELECTORS = """
dependencies:
  - a
  - w  # [win]
  - "l>=1"  # [linux and not aarch64]
  - x  # [osx or (unix and x86_64)]
  - p  # [py27]
  - sel(win): sw
  - sel(unix): su
  - pip:
    - pw  # [win]
    - pl  # [linux64]
"""


def test_selectors(tmp_path: Path) -> None:
    path = write(tmp_path, "e.yml", SELECTORS)
    found = read(path, environ={}, platform="linux-64")
    assert texts(found) == ["a", "l>=1", "x", "p", "su", "pl"]
    told_of = ("w is left out", "sw is left out", "pw is left out", "[py27] is not a selector")
    assert [words for words in told_of if words not in "\n".join(found.warnings)] == []
    assert len(found.warnings) == 4
    assert texts(read(path, environ={}, platform="win-64")) == ["a", "w", "p", "sw", "pw"]


ENVIRONMENT_ERRORS: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("", ("a mapping was expected",)),
    "a list": ("- numpy\n", ("a mapping was expected",)),
    "no YAML": ("name: x\ndependencies: [a\n", ("not YAML", "line 3")),
    "a tab": ("dependencies:\n\t- a\n", ("not YAML", "line 2")),
    "two documents": ("name: x\n---\nname: y\n", ("not YAML",)),
    "a key twice": ("dependencies: [a]\nname: x\ndependencies: [b]\n", ("line 3", "'dependencies' comes twice")),
    "a variable that is not set": ("channels: [https://$NOT_SET@c.example/c]\n", ("channels", "NOT_SET is not set")),
    "a name that is a list": ("name: [a]\n", ("name", "text")),
    "a name that is a date": ("name: 2020-01-01\n", ("name", "text")),
    "a date that is none": ("name: 2020-99-99\n", ("not YAML",)),
    "channels that are a text": ("channels: conda-forge\n", ("channels", "list")),
    "a channel that is a list": ("channels: [[a]]\n", ("channels[0]", "a list")),
    "dependencies that are a text": ("dependencies: numpy\n", ("dependencies", "list")),
    "dependencies that are a mapping": ("dependencies: {numpy: 2}\n", ("dependencies", "list")),
    "a version alone": ("dependencies:\n  - python\n  - 3.10\n", ("dependencies[1]", "3.1")),
    "nothing in a list": ("dependencies: [a, ~]\n", ("dependencies[1]", "nothing")),
    "another list than pip's": ("dependencies: [{npm: [x]}]\n", ("dependencies[0]", "pip:")),
    "pip's and another": ("dependencies: [{pip: [x], npm: [x]}]\n", ("dependencies[0]",)),
    "pip's as a text": ("dependencies: [{pip: x}]\n", ("dependencies[0].pip", "list")),
    "pip's with a mapping": ("dependencies: [{pip: [{x: y}]}]\n", ("dependencies[0].pip[0]", "a mapping")),
    "a colon before the version": ("dependencies: ['numpy:1.2']\n", ("dependencies[0]", "a namespace")),
    "a file of another machine": ("dependencies: [{pip: [-r file://host/x.txt]}]\n", ("dependencies[0].pip[0]",)),
    "no MatchSpec": ("dependencies: ['numpy ==>> 2']\n", ("dependencies[0]", "numpy ==>> 2")),
    "pip's syntax": ("dependencies: ['torch @ https://h/x.whl']\n", ("dependencies[0]",)),
    "no PEP 508": ("dependencies: [a, {pip: [b, '=2']}]\n", ("dependencies[1].pip[1]", "=2")),
    "editable": ("dependencies: [{pip: [-e ./none]}]\n", ("dependencies[0].pip[0]", "there is no folder")),
    "an object": ("!!python/object/apply:os.system ['true']\n", ("not YAML",)),
    "an alias to nothing": ("dependencies: *nothing\n", ("not YAML", "nothing")),
    "a value that holds itself": ("dependencies: &a [x, *a]\n", ("refers to a value that contains it",)),
    "a key that is not a text": ("{[a]: b}\n", ("not YAML",)),
    "deep": ("dependencies: " + "[" * 40 + "]" * 40, ("deep",)),
    "deep beyond any stack": ("[" * 100_000, ("deep",)),
    "a control character": ("name: \x07\n", ("not YAML",)),
}


@pytest.mark.parametrize("case", ENVIRONMENT_ERRORS)
def test_wrong_environments(tmp_path: Path, case: str) -> None:
    text, words = ENVIRONMENT_ERRORS[case]
    refuse(write(tmp_path, "environment.yml", text), *words)


def test_variables_of_the_process_in_channels(tmp_path: Path) -> None:
    text = "channels: ['https://${WHO}:$PASS@c.example/c', d]\npip-repositories: [https://$PASS@i.example/simple]\n"
    path = write(tmp_path, "environment.yml", f"{text}dependencies: [a]\n")
    found = read(path, environ={"WHO": "me", "PASS": "secret"})
    assert found.channels == ("https://me:secret@c.example/c", "d")
    assert found.extra_index_urls == ("https://secret@i.example/simple",)


def laughs(levels: int, width: int) -> str:
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join([*lines, f"dependencies: *a{levels - 1}", ""])


BOMBS = {
    "a billion laughs": laughs(10, 10),
    "of one line": "dependencies: [&a [x, x], " + ", ".join(["*a"] * 30_000) + "]",
    "as merged keys": "a: &a {k: v}\n" + "".join(f"b{i}: &b{i} {{<<: [*a, *a]}}\n" for i in range(9_000)),
    "by doubling": laughs(60, 2),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_small_file_is_no_large_value(tmp_path: Path, case: str) -> None:
    path = write(tmp_path, "environment.yml", BOMBS[case])
    started = time.process_time()
    refuse(path, "more than 20000 values")
    if path.stat().st_size < 5000:
        assert time.process_time() - started < 2


# pyproject.toml


PROJECT = """
[project]
name = "My.Project"
version = "1"
requires-python = ">=3.10"
dependencies = ["rich>=13", 'tomli ; python_version < "3.11"']
[project.optional-dependencies]
test = ["pytest", "my-project[typing]"]
typing = ["mypy"]
Old_Name = ["six"]
all = ["my_project[test,typing]", "my.project[old-name] ; os_name == 'nt' or os_name == 'x'"]
self = ["my-project[self]", "attrs"]
[dependency-groups]
Dev = ["ruff", {include-group = "lint"}, {include-group = "lint"}]
lint = ["codespell", {include-group = "base"}]
base = []
one = [{include-group = "two"}]
two = [{include-group = "One"}]
"""
REQUIRED = ["rich>=13", 'tomli ; python_version < "3.11"']


@pytest.mark.parametrize(
    ("extras", "groups", "expected"),
    [
        ((), (), []),
        (("test",), (), ["pytest", "mypy"]),
        (("TYPING", "test"), (), ["mypy", "pytest"]),
        (("old.name",), (), ["six"]),
        (("all",), (), ["pytest", "mypy", 'six ; os_name == "nt" or os_name == "x"']),
        (("self",), (), ["attrs"]),
        ((), ("dev",), ["ruff", "codespell"]),
        ((), ("lint", "DEV", "base"), ["codespell", "ruff"]),
        (("typing",), ("base",), ["mypy"]),
    ],
)
def test_a_project(tmp_path: Path, extras: tuple[str, ...], groups: tuple[str, ...], expected: list[str]) -> None:
    found = read(write(tmp_path, "pyproject.toml", PROJECT), extras=extras, groups=groups)
    assert texts(found) == [*(REQUIRED if extras or not groups else ()), *expected]
    assert found.requires_python == ">=3.10"


def test_a_group_needs_nothing_of_a_dynamic_project(tmp_path: Path) -> None:
    text = '[project]\nname = "p"\ndynamic = ["version", "dependencies"]\n[dependency-groups]\ntest = ["pytest"]\n'
    path = write(tmp_path, "pyproject.toml", text)
    assert texts(read(path, groups=["test"])) == ["pytest"]
    assert [each.text for each in read(path).dynamic] == [f"p @ {tmp_path.as_uri()}"]


@pytest.mark.parametrize(("field", "extras"), [("dependencies", []), ("optional-dependencies", ["a"])])
def test_what_only_a_build_tells_is_left_to_it(tmp_path: Path, field: str, extras: list[str]) -> None:
    found = read(write(tmp_path, "pyproject.toml", DYNAMIC.format(f'"{field}"')), extras=extras)
    assert found.requirements == ()
    assert [(each.name, each.extras, each.url) for each in found.dynamic] == [("p", tuple(extras), tmp_path.as_uri())]


def test_conditions_of_extras_add_up(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "p"\n[project.optional-dependencies]\n'
        "a = [\"p[b] ; os_name == 'x' or os_name == 'y'\"]\n"
        'b = ["q[r]>1 ; python_version > \'3\'", "u @ https://h.example/u-1-py3-none-any.whl"]\n'
    )
    found = texts(read(write(tmp_path, "pyproject.toml", text), extras=["a"]))
    assert found == [
        'q[r]>1 ; (os_name == "x" or os_name == "y") and (python_version > "3")',
        'u @ https://h.example/u-1-py3-none-any.whl ; os_name == "x" or os_name == "y"',
    ]


def test_groups_need_no_project(tmp_path: Path) -> None:
    """PEP 735: "[dependency-groups] … for use cases that do not build a package"."""
    path = write(tmp_path, "pyproject.toml", '[dependency-groups]\ndev = ["ruff"]\n')
    assert texts(read(path, groups=["dev"])) == ["ruff"]
    refuse(path, "no [project] table")
    refuse(path, "no extra 'x'", extras=["x"], groups=["dev"])


DYNAMIC = '[project]\nname = "p"\ndynamic = ["version", {}]\n'
PROJECT_ERRORS: dict[str, tuple[str, dict[str, list[str]], tuple[str, ...]]] = {
    "no TOML": ("[project\n", {}, ("not TOML", "line 1")),
    "a key twice": ("a = 1\na = 2\n", {}, ("not TOML", "line 2")),
    "deep": ("a = " + "[" * 10_000, {}, ("not TOML",)),
    "no project": ("[tool.hatch]\nname = 'x'\n", {}, ("no [project] table", "PEP 621")),
    "project is not a table": ("project = 1\n", {}, ("project", "table")),
    "dependencies as a text": ('[project]\ndependencies = "x"\n', {}, ("project.dependencies", "list")),
    "dependencies as a table": ('[project.dependencies]\nx = "1"\n', {}, ("project.dependencies", "list")),
    "a dependency that is a number": ("[project]\ndependencies = [1]\n", {}, ("project.dependencies[0]", "text")),
    "no PEP 508": ('[project]\ndependencies = ["a", "b =2"]\n', {}, ("project.dependencies[1]", "b =2")),
    "requires-python": ("[project]\nrequires-python = 3\n", {}, ("project.requires-python", "text")),
    "extras are no table": ("[project]\noptional-dependencies = []\n", {}, ("optional-dependencies", "table")),
    "no such extra": (PROJECT, {"extras": ["docs"]}, ("'docs'", "Old_Name, all, self, test, typing")),
    "no such extra at all": ('[project]\nname = "p"\n', {"extras": ["docs"]}, ("'docs'", "none")),
    "no such extra of its own": (
        '[project]\nname = "p"\n[project.optional-dependencies]\na = ["p[b]"]\n',
        {"extras": ["a"]},
        ("'b'",),
    ),
    "no such group": (PROJECT, {"groups": ["docs"]}, ("'docs'", "Dev, base, lint, one, two")),
    "a circle": (PROJECT, {"groups": ["one"]}, ("one -> two -> one", "dependency-groups.two[0]")),
    "a group of itself": ('[dependency-groups]\na = [{include-group = "a"}]\n', {"groups": ["a"]}, ("a -> a",)),
    "groups are no table": ("dependency-groups = 1\n", {"groups": ["a"]}, ("dependency-groups", "table")),
    "a group is a text": ('[dependency-groups]\na = "x"\n', {"groups": ["a"]}, ("dependency-groups.a", "list")),
    "one group twice": ("[dependency-groups]\nA_b = []\na-B = []\n", {"groups": ["a-b"]}, ("A_b", "a-B", "twice")),
    "another object": (
        '[dependency-groups]\na = [{include-group = "b", x = 1}]\nb = []\n',
        {"groups": ["a"]},
        ("dependency-groups.a[0]", "include-group"),
    ),
    "an included group that is not there": (
        '[dependency-groups]\na = [{include-group = "b"}]\n',
        {"groups": ["a"]},
        ("dependency-groups.a[0]", "'b'"),
    ),
    "a group's requirement": ('[dependency-groups]\na = ["=1"]\n', {"groups": ["a"]}, ("dependency-groups.a[0]",)),
}


@pytest.mark.parametrize("case", PROJECT_ERRORS)
def test_wrong_projects(tmp_path: Path, case: str) -> None:
    text, options, words = PROJECT_ERRORS[case]
    refuse(write(tmp_path, "pyproject.toml", text), *words, **options)


def test_groups_and_extras_that_multiply(tmp_path: Path) -> None:
    """Each group is read once, each extra once a condition, however often they name one another."""
    lines = []
    for i in range(90):
        included = ", ".join([f'{{include-group = "g{i + 1}"}}'] * 9)
        lines.append(f"g{i} = [{included}, 'x{i}']")
    path = write(tmp_path, "pyproject.toml", "\n".join(["[dependency-groups]", *lines, "g90 = []"]))
    assert len(texts(read(path, groups=["g0"]))) == 90
    lines = [f"e{i} = ['p[e{i + 1}]', 'p[e{i + 1}] ; os_name == \"{i}\"', 'x']" for i in range(60)]
    head = ["[project]", 'name = "p"', "[project.optional-dependencies]"]
    path = write(tmp_path, "pyproject.toml", "\n".join([*head, *lines, "e60 = []"]))
    started = time.process_time()
    refuse(path, "without an end", extras=["e0"])
    assert time.process_time() - started < 5


# pylock.toml


def lock(*packages: str, head: str = "") -> str:
    return "\n".join(['lock-version = "1.0"', 'created-by = "tests"', head, *packages, ""])


def package(name: str, version: str = "1.0", more: str = "", **wheel: object) -> str:
    filename = f"{name}-{version}-py3-none-any.whl"
    entry: dict[str, object] = {"url": f"https://h.example/{filename}", "hashes": {"sha256": A}, **wheel}
    written = ", ".join(f"{key} = {_toml(value)}" for key, value in entry.items() if value is not None)
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{more}\nwheels = [{{{written}}}]\n'


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return str(value) if isinstance(value, int) else f'"{value}"'


def test_a_lock(tmp_path: Path) -> None:
    sdist = f'sdist = {{name = "y-2.tar.gz", path = "dist/y-2.tar.gz", hashes = {{sha256 = "{B.upper()}"}}}}'
    text = lock(
        package("x", more="marker = \"os_name == 'nt'\"", size=7, **{"upload-time": "later"}).replace(
            '"later"', "2025-01-02T03:04:05.678Z"
        ),
        package("y", "2", more=f'index = "https://i.example/simple"\nrequires-python = ">=3.9"\n{sdist}'),
        f'[[packages]]\nname = "z"\narchive = {{url = "https://h.example/z-3.tar.gz", hashes = {{sha256 = "{A}"}}}}\n',
        head='requires-python = ">=3.10"\nenvironments = ["os_name == \'posix\'"]',
    )
    found = read(write(tmp_path, "pylock.toml", text))
    assert texts(found) == [
        'pypi:x==1.0 ; os_name == "nt"',
        "pypi:y==2",
        f"z @ https://h.example/z-3.tar.gz#sha256={A}",
    ]
    assert all(requirement.bound == "wheel" or requirement.url for requirement in found.requirements)
    assert said(found)["hashes"] == {"x": {A}, "y": {A, B}, "z": {A}}
    assert (found.requires_python, found.environments) == (">=3.10", ('os_name == "posix"',))
    (x,) = found.files["x"]
    assert (x.url, x.size, x.upload_time) == ("https://h.example/x-1.0-py3-none-any.whl", 7, 1735787045678)
    wheel, source = found.files["y"]
    assert (wheel.origin, wheel.requires_python) == ("https://i.example/simple", ">=3.9")
    assert (source.url, source.sha256) == ((tmp_path / "dist/y-2.tar.gz").as_uri(), B)
    assert found.require_hashes


LOCK_EXTRAS = lock(
    package("always"),
    package("x", more="marker = \"'a' in extras\""),
    package("y", more="marker = \"os_name == 'nt' and ('a' not in extras or 'dev' in dependency_groups)\""),
    package("z", more="marker = \"'dev' in dependency_groups\""),
    '[[packages]]\nname = "sources"\nmarker = "\'docs\' in dependency_groups"\ndirectory = {path = "."}\n',
    head='extras = ["a"]\ndependency-groups = ["dev", "docs", "other"]\ndefault-groups = ["dev"]',
)
TRUE, FALSE = 'python_version >= "0"', 'python_version < "0"'


@pytest.mark.parametrize(
    ("extras", "groups", "expected"),
    [
        ((), (), ["always", f"y: {TRUE} or {TRUE}", f"z: {TRUE}"]),
        (("a",), (), ["always", f"x: {TRUE}", f"y: {FALSE} or {TRUE}", f"z: {TRUE}"]),
        ((), ("other",), ["always", f"y: {TRUE} or {FALSE}"]),
    ],
)
def test_the_extras_and_groups_of_a_lock(
    tmp_path: Path, extras: tuple[str, ...], groups: tuple[str, ...], expected: list[str]
) -> None:
    found = read(write(tmp_path, "pylock.dev.toml", LOCK_EXTRAS), extras=extras, groups=groups)
    spelled = []
    for requirement in found.requirements:
        marker = str(requirement.marker or "").removeprefix('os_name == "nt" and ')
        spelled.append(requirement.name + (f": {marker.strip('()')}" if marker else ""))
    assert spelled == expected


BAD_LOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "no version": ("packages = []\nlock-version = 1\n", ("lock-version",)),
    "a later version": (lock().replace('"1.0"', '"2.0"') + "packages = []\n", ("2.0",)),
    "no packages": (lock(), ("packages",)),
    "a name that is not normal": (lock(package("X")), ("packages[0].name",)),
    "no source": (lock('[[packages]]\nname = "x"\n'), ("packages[0]",)),
    "two kinds of source": (lock(package("x", more='directory = {path = "."}')), ("packages[0]",)),
    "no hashes": (lock(package("x", hashes=None)), ("hashes",)),
    "no sha256": (lock(package("x", hashes={"md5": "a" * 32})), ("x-1.0-py3-none-any.whl", "no sha256")),
    "a sha256 that is none": (lock(package("x", hashes={"sha256": "abc"})), ("no sha256",)),
    "a file of another project": (lock(package("x", url="https://h.example/y-1.0-py3-none-any.whl")), ("packages[0]",)),
    "a file of another version": (lock(package("x", url="https://h.example/x-2.0-py3-none-any.whl")), ("packages[0]",)),
    "no wheel": (lock(package("x", url="https://me:secret@h.example/x.exe")), ("packages[0]",)),
    "an archive of another project": (
        lock(f'[[packages]]\nname = "x"\narchive = {{path = "y-1.tar.gz", hashes = {{sha256 = "{A}"}}}}\n'),
        ("y-1.tar.gz",),
    ),
    "an archive of no kind": (
        lock(f'[[packages]]\nname = "x"\narchive = {{url = "https://h/main.rar", hashes = {{sha256 = "{A}"}}}}\n'),
        ("main.rar",),
    ),
    "no commit": (
        lock('[[packages]]\nname = "x"\nvcs = {type = "git", url = "https://h/x", commit-id = "main"}\n'),
        ("main", "commit"),
    ),
}


@pytest.mark.parametrize("case", BAD_LOCKS)
def test_l10_locks_that_pep_751_does_not_allow(tmp_path: Path, case: str) -> None:
    """L10: "pylock.toml with conflicting sdist/wheel entries or missing hashes: 3"."""
    text, words = BAD_LOCKS[case]
    with pytest.raises(UnsafeInputError) as caught:
        read(write(tmp_path, "pylock.toml", text))
    assert (caught.value.id, caught.value.exit_code) == ("lock-invalid", 3)
    assert [word for word in (*words, "pylock.toml") if word not in caught.value.message] == [], caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (
            lock('[[packages]]\nname = "x"\nvcs = {type = "hg", url = "https://h/x", commit-id = "a"}\n'),
            {},
            ("packages[0] (x)", "hg"),
        ),
        (LOCK_EXTRAS, {"extras": ["b"]}, ("'b'", "extras: a")),
        (LOCK_EXTRAS, {"groups": ["b"]}, ("'b'", "dev, docs, other")),
        (LOCK_EXTRAS, {"environment": "x"}, ("no environments", "'x'")),
    ],
)
def test_locks_of_what_is_not_installed(
    tmp_path: Path, text: str, options: dict[str, list[str]], words: tuple[str, ...]
) -> None:
    refuse(write(tmp_path, "pylock.toml", text), *words, **options)


# Any file.


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("requirements.txt", "environment.yml", "pyproject.toml", "unknown"):
        refuse(tmp_path / name, "No such file")
    refuse(tmp_path, "directory")
    (tmp_path / "cookie.txt").write_bytes(b"# coding: no-such\nx\n")
    refuse(tmp_path / "cookie.txt", "line 1", "no-such")
    (tmp_path / "cut.txt").write_bytes("x\n".encode("utf-16")[:-1])
    refuse(tmp_path / "cut.txt", "utf-16")
    (tmp_path / "latin.txt").write_bytes(b"x\n# caf\xe9\n")
    refuse(tmp_path / "latin.txt", "line 2", "UTF-8")
    (tmp_path / "large.txt").write_bytes(b"#" * (9 << 20))
    refuse(tmp_path / "large.txt", "larger than")


@pytest.mark.parametrize("name", ["requirements.txt", "environment.yml"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    lines = (
        ["numpy  # caf\u00e9", "rich"] if name.endswith("txt") else ["dependencies:", "- numpy", "- rich  # caf\u00e9"]
    )
    text = "".join(f"{line}\r\n" for line in lines)
    if encoding in {"utf-16-le", "utf-16-be"}:
        text = f"\ufeff{text}"
    if encoding == "latin-1":
        text = f"# -*- coding: {encoding} -*-\r\n{text}"
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert texts(read(tmp_path / name, environ={})) == ["numpy", "rich"]


EXPORTED = """# This file may be used to create an environment using:
# $ conda create --name <env> --file <this file>
# platform: linux-64
_libgcc_mutex=0.1=main
conda-forge/linux-64::numpy=1.26.4=py311_0
pypi::rich=13.0=pypi_0
requests=2.32.0=pypi_0
"""


@pytest.mark.parametrize("name", ["requirements.txt", "export", "env.conda"])
def test_a_list_of_conda_list_export(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, EXPORTED)
    found = read(path, environ={}, platform="linux-64").requirements
    assert [requirement.text for requirement in found] == [
        "_libgcc_mutex=0.1=main",
        "conda-forge/linux-64::numpy=1.26.4=py311_0",
        "pypi:rich==13.0",
        "pypi:requests==2.32.0",
    ]
    assert [requirement.bound for requirement in found] == ["conda", "conda", "wheel", "wheel"]
    refuse(path, "line 3", "linux-64", "osx-arm64", platform="osx-arm64")


def test_a_list_of_matchspecs(tmp_path: Path) -> None:
    path = write(tmp_path, "requirements.txt", "numpy=1.26  # why\nscipy >=1.0\nconda-forge::zlib\nrich\n")
    found = read(path, environ={}).requirements
    assert [requirement.kind for requirement in found] == ["matchspec", "either", "matchspec", "either"]
    named = read(write(tmp_path, "r.txt", "rich\nconda-forge::libmamba>=2.0.0\n"), environ={}).requirements
    assert [requirement.kind for requirement in named] == ["either", "matchspec"]
    refuse(write(tmp_path, "r.txt", "numpy=1.26\n-r more.txt\n"), "line 1", "numpy=1.26")
    refuse(write(tmp_path, "r.txt", "numpy=1.26\n=2\n"), "line 2", "MatchSpec")


def test_wheels_of_an_explicit_list(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "y", "1.0")
    lines = [
        "# platform: linux-64",
        "@EXPLICIT",
        f"{WHEEL}#{A}",
        f"{wheel.as_uri()}#sha256:{A}",
        f"# pip z @ https://h.example/z-1.0-py3-none-any.whl --hash=sha256:{B}",
        "# pip v @ https://h.example/v-1.0-py3-none-any.whl#md5=abc",
        "# piping hot",
    ]
    found = read(write(tmp_path, "explicit.txt", "\n".join(lines)), platform="linux-64")
    assert texts(found) == [
        f"x @ {WHEEL}#sha256={A}",
        f"y @ {wheel.as_uri()}#sha256={A}",
        f"z @ https://h.example/z-1.0-py3-none-any.whl#sha256={B}",
        "v @ https://h.example/v-1.0-py3-none-any.whl",
    ]
    assert found.hashes == {name: frozenset({digest}) for name, digest in (("x", A), ("y", A), ("z", B))}
    assert found.channels == ()
    (warning,) = found.warnings
    assert "line 6: #md5=abc is not verified" in warning


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"@EXPLICIT\n# pip x @ {WHEEL} --foo\n", ("line 2", "option")),
        ("@EXPLICIT\nhttps://h/c/win-64/x-1-0.conda\n", ("line 2", "win-64")),
        ("# platform: win-64\n@EXPLICIT\n", ("line 1", "win-64")),
    ],
)
def test_explicit_lists_that_cannot_be_used(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    refuse(write(tmp_path, "explicit", text), *words, platform="linux-64")


FOREIGN = {
    "poetry.lock": ("[[package]]\n", "poetry export"),
    "a.lock": ("# This file is automatically @generated by Poetry 1.8\n", "poetry export"),
    "Pipfile": ("[packages]\n", "pipenv requirements"),
    "setup.py": ("from setuptools import setup\n", "folder"),
    "list.txt": ("# packages in environment at /x:\n#\n# Name Version\nnumpy 1.0 0\n", "conda list --export"),
    "pip.txt": ("Package    Version\n---------- -------\nnumpy      1.0\n", "pip freeze"),
    "page.txt": ("<!DOCTYPE html>\n", "raw file"),
    "list.json": ('[{"name": "numpy"}]\n', "JSON"),
    "meta.yaml": ("package:\n  name: x\n", "recipe"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_formats_are_refused_by_name(tmp_path: Path, name: str) -> None:
    text, instead = FOREIGN[name]
    refuse(write(tmp_path, name, text), "bridge does not read", instead)


@pytest.mark.parametrize("name", ["explicit.txt", "explicit", "spec.yml.txt"])
def test_an_explicit_list_is_requirements_for_exactly_these_files(tmp_path: Path, name: str) -> None:
    first = f"https://h.example/c/linux-64/x-1.0-h_0.conda#{'a' * 32}"
    second = "https://h.example/c/noarch/y-2.0-h_0.tar.bz2"
    text = f"# platform: linux-64\n@EXPLICIT\n{first}\n\n{second}\n{second}\n"
    found = read(write(tmp_path, name, text), platform="linux-64")
    assert [requirement.text for requirement in found.requirements] == [first, second]
    specs = [requirement.conda for requirement in found.requirements if requirement.conda is not None]
    assert [(spec.name, dict(spec.artifact)) for spec in specs] == [
        ("x", {"url": first.partition("#")[0], "md5": "a" * 32}),
        ("y", {"url": second}),
    ]
    assert {requirement.bound for requirement in found.requirements} == {"conda"}
    assert found.channels == ("https://h.example/c",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("numpy", "is not the URL"),
        ("https://h.example/c/noarch/y-2.0-h_0.conda#nothex", "'nothex' is not a hash"),
        ("-r x", ""),
    ],
)
def test_an_explicit_list_holds_nothing_but_urls(tmp_path: Path, line: str, said: str) -> None:
    refuse(write(tmp_path, "explicit.txt", f"@EXPLICIT\n{line}\n"), "line 2", said, "@EXPLICIT")


@pytest.mark.parametrize("name", ["requirements.txt", "environment.yml"])
def test_files_without_extras(tmp_path: Path, name: str) -> None:
    refuse(write(tmp_path, name, "dependencies: [a]"), "'test'", "pyproject.toml", extras=["test"])
    refuse(write(tmp_path, name, "dependencies: [a]"), "'dev'", groups=["dev"])


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["r.txt", "e.yml", "pyproject.toml", "pylock.toml"]),
    st.text(st.sampled_from(" \n\\#-[]{}:=\"'*&!<>,;@./ab1\u00e9\0\x0b"), max_size=60),
)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    """Whatever a file holds: requirements, or one error for the person who wrote it."""
    path = tmp_path_factory.mktemp("any") / name
    path.write_text(text)
    try:
        outcome: object = read(path, environ={})
    except (UsageError, UnsafeInputError) as error:
        outcome = error.id
    assert isinstance(outcome, FileRequirements) or outcome in {"requirement-file", "lock-invalid"}


# Requirements that are paths.


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    make_wheel(tmp_path / "dist", "my.pkg", "1.0")
    make_sdist(tmp_path / "dist", "x", "2.0")
    make_wheel(tmp_path / "with space", "x", "1.0+a")
    (tmp_path / "dist/x.conda").write_bytes(b"")
    (tmp_path / "dist/x-1.0-h_0.conda").write_bytes(b"")
    return tmp_path


PATHS = [
    ("./dist/my_pkg-1.0-py3-none-any.whl", "my-pkg @ {}/dist/my_pkg-1.0-py3-none-any.whl"),
    ("dist/my_pkg-1.0-py3-none-any.whl", "my-pkg @ {}/dist/my_pkg-1.0-py3-none-any.whl"),
    ("pypi: ./dist/my_pkg-1.0-py3-none-any.whl", "my-pkg @ {}/dist/my_pkg-1.0-py3-none-any.whl"),
    ("{}/dist/x-2.0.tar.gz", "x @ {}/dist/x-2.0.tar.gz"),
    ("../{name}/dist/x-2.0.tar.gz", "x @ {}/dist/x-2.0.tar.gz"),
    ("./dist/x-2.0.tar.gz[a,b]", "x[a,b] @ {}/dist/x-2.0.tar.gz"),
    ("./dist/x-2.0.tar.gz [a] ; os_name == 'nt'", "x[a] @ {}/dist/x-2.0.tar.gz ; os_name == 'nt'"),
    ("./with space/x-1.0+a-py3-none-any.whl", "x @ {}/with%20space/x-1.0%2Ba-py3-none-any.whl"),
    ("X @ ./dist/x-2.0.tar.gz", "X @ {}/dist/x-2.0.tar.gz"),
    ("X[a]@dist/x-2.0.tar.gz;os_name=='nt'", "X[a] @ {}/dist/x-2.0.tar.gz ; os_name=='nt'"),
    ("file://{}/dist/x-2.0.tar.gz#sha256=" + A, "x @ {}/dist/x-2.0.tar.gz#sha256=" + A),
    ("x @ file:dist/x-2.0.tar.gz", "x @ {}/dist/x-2.0.tar.gz"),
    ("./with%20space", None),
]


@pytest.mark.parametrize(("text", "expected"), [pair for pair in PATHS if pair[1]])
def test_a_path_becomes_a_url(dist: Path, text: str, expected: str) -> None:
    requirement = direct_requirement(text.replace("{}", str(dist)).replace("{name}", dist.name), dist)
    assert requirement is not None
    found = requirement.text
    assert found == expected.replace("{}", dist.as_uri())
    assert Pep508(found).url == found.split(" @ ")[1].split(" ;")[0]


@pytest.mark.parametrize("text", ["./dist/x-1.0-h_0.conda", "dist/x-1.0-h_0.conda", "file:dist/x-1.0-h_0.conda"])
def test_a_path_of_a_conda_package_becomes_its_url(dist: Path, text: str) -> None:
    found = direct_requirement(text, dist)
    assert found is not None
    assert found.text == f"{dist.as_uri()}/dist/x-1.0-h_0.conda"
    with pytest.raises(UsageError, match="not a conda package that can be named like this"):
        direct_requirement(f"x @ {text}", dist)


NO_PATHS = ["numpy", "numpy >=2", "torch[opt-einsum]>=2", "conda-forge::zlib", "conda-forge/linux-64::zlib=1.3=*_0"]
NO_PATHS += ["pypi:torch", "conda:numpy", "numpy[version='>=2']", "https://h.example/x-1.0-0.conda"]
NO_PATHS += ["", "zip", "python=3.11", "https://h.example/channel::zlib"]


@pytest.mark.parametrize("text", NO_PATHS)
def test_what_is_no_path(tmp_path: Path, text: str) -> None:
    assert direct_requirement(text, tmp_path) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("./none-1.0-py3-none-any.whl", ("there is no file", "none-1.0")),
        ("none-1.0.tar.gz", ("there is no file",)),
        ("./dist/x.conda", ("x.conda",)),
        ("y @ ./dist/x-2.0.tar.gz", ("a file of x, not of y",)),
        ("file://[x/y-1.0-py3-none-any.whl", ("is not a URL",)),
        (f"./{'y' * 300}.whl", ("there is no file",)),
        ("./one\ntwo.whl", ("asked for: ./one\\ntwo.whl",)),
    ],
)
def test_paths_that_lead_to_nothing(dist: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        direct_requirement(text, dist)
    assert caught.value.id == "local-file"
    assert [word for word in words if word not in told(caught.value)] == []


@pytest.mark.parametrize("text", [".", "./dist", "dist/", "-e dist", "x @ ./dist"])
def test_a_folder_without_a_project(dist: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        direct_requirement(text, dist)
    assert caught.value.id == "no-project"
    assert "neither a pyproject.toml nor a setup.py" in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WHEEL, f"x @ {WHEEL}"),
        (f"{WHEEL}[a]", f"x[a] @ {WHEEL}"),
        (f"{WHEEL}#sha256={A} ; os_name == 'nt'", f"x @ {WHEEL}#sha256={A} ; os_name == 'nt'"),
        ("https://h.example/my_pkg-1.tar.gz?token=1", "my-pkg @ https://h.example/my_pkg-1.tar.gz"),
        ("numpy", None),
        ("https://h.example/channel::zlib >=1", None),
    ],
)
def test_a_url_without_a_name(text: str, expected: str | None) -> None:
    found = direct_requirement(text, Path.cwd())
    assert (found.text if found is not None else None) == expected


def test_a_malformed_url_names_no_archive() -> None:
    with pytest.raises(UsageError) as caught:
        direct_requirement("https://[x/y-1.0-py3-none-any.whl", Path.cwd())
    assert caught.value.id == "local-file"


SCRIPT = """#!/usr/bin/env python
# A first comment.
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "requests<3",
#
#   "rich",
# ]
# [tool.uv]
# constraint-dependencies = ["urllib3<3"]
# ///

# /// other
# dependencies = ["no"]
# ///
import requests
[tool] = [1]
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_script_states_what_it_requires(tmp_path: Path, end: str) -> None:
    (tmp_path / "s.py").write_bytes(SCRIPT.replace("\n", end).encode())
    found = read(tmp_path / "s.py")
    assert (texts(found), found.requires_python) == (["requests<3", "rich"], ">=3.11")
    assert [each.text for each in found.constraints] == ["urllib3<3"]
    assert texts(read(write(tmp_path, "empty.py", "# /// script\n# ///\n"))) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import rich\n", "PEP 723"),
        ("# /// script\n# dependencies = ['x']\n", "PEP 723"),
        ("# /// script\n# dependencies = [\n# ///\n", "TOML"),
        ("# /// script\n# dependencies = 'x'\n# ///\n", "dependencies"),
        ("# /// script\n# ///\n\n# /// script\n# ///\n", "several"),
    ],
)
def test_a_script_that_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    refuse(write(tmp_path, "s.py", text), words)
