"""The readers of locks: what each construct means, and what is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.errors import BridgeError, UnsafeInputError, UsageError
from bridge.requirements.algebra import Requirement
from bridge.requirements.files.locks.reading import lock_of_text, read_lock
from bridge.requirements.files.locks.uv_graph import python_marker, pythons
from bridge.requirements.files.reading import read
from bridge.requirements.files.values import Chosen
from bridge.requirements.locked import Lock, LockedConda, LockedSource, LockedWheel, for_target
from converters.target import Python, Target

A, B, COMMIT = "a" * 64, "b" * 64, "c" * 40
MANY = "{0}\n" * 50_001
CHANNEL = "https://c.example/c"


def lock(folder: Path, name: str, text: str, **options: object) -> Lock:
    (folder / name).write_text(text)
    return read_lock(folder / name, **options)  # type: ignore[arg-type]


def names(found: Lock, python: str = "3.12.1", subdir: str = "linux-64") -> list[str]:
    """`NAME VERSION` of what is for a target."""
    target = Target(subdir=subdir, virtual_packages=(("__glibc", "2.28", "0"),), python=Python(version=python))
    return [f"{each.name} {each.version}".strip() for each in for_target(found.environment(), target, found.path)]


def told(error: BridgeError) -> str:
    return "\n".join([error.message, *error.context, error.hint or ""])


PIXI = f"""version: 6
environments:
  default:
    channels: [{{url: {CHANNEL}}}]
    indexes: [https://i.example/simple]
    packages:
      linux-64:
      - conda: {CHANNEL}/linux-64/x-1.2-h0_3.conda
      - pypi: https://h.example/y-1.0-py3-none-any.whl
      - pypi: direct+https://h.example/z-1.0.tar.gz
      - pypi: https://h.example/w-1.0.tar.gz
      - pypi: ./app
      - pypi: git+https://h.example/o/n.git?rev=main&subdirectory=sub%2Fdir#{COMMIT}
packages:
- conda: {CHANNEL}/linux-64/x-1.2-h0_3.conda
  sha256: {A}
  md5: {"d" * 32}
  depends:
  - python >=3.12
  purls:
  - pkg:pypi/ex
- pypi: https://h.example/y-1.0-py3-none-any.whl
  name: Y
  version: '1.0'
  sha256: {A}
  requires_dist: ['z ; extra == "e"']
  requires_python: '>=3.9'
- pypi: direct+https://h.example/z-1.0.tar.gz
  name: z
  version: '1.0'
  sha256: {B}
- pypi: https://h.example/w-1.0.tar.gz
  name: w
  version: '1.0'
  sha256: {B}
- pypi: ./app
  name: app
  version: 0.1.0
  editable: true
- pypi: git+https://h.example/o/n.git?rev=main&subdirectory=sub%2Fdir#{COMMIT}
  name: n
  version: '2.0'
"""


def test_the_values_of_a_lock_of_rattler(tmp_path: Path) -> None:
    found = lock(tmp_path, "pixi.lock", PIXI)
    environment = found.environment()
    assert (found.format, found.version, found.warnings) == ("rattler", "6", ())
    assert (environment.channels, environment.indexes) == ((CHANNEL,), ("https://i.example/simple",))
    by_name = {each.name: each for each in environment.on("linux-64", found.path)}
    x, y, z, w, app, n = (by_name[name] for name in ("x", "y", "z", "w", "app", "n"))
    assert isinstance(x, LockedConda)
    record = x.record
    assert (record.version, record.build, record.build_number, record.subdir) == ("1.2", "h0_3", 3, "linux-64")
    assert (record.sha256, record.md5, record.origin) == (A, "d" * 32, CHANNEL)
    assert (record.requirements, record.purls) == (("python >=3.12",), ("pkg:pypi/ex",))
    assert isinstance(y, LockedWheel)
    assert (y.index, y.is_direct, y.requires_python, y.sha256) == ("https://i.example/simple", False, ">=3.9", A)
    assert (y.requires_dist or ())[0].startswith("z ; extra ==")
    sources = [each for each in (z, w, app, n) if isinstance(each, LockedSource)]
    assert [each.kind for each in sources] == ["archive", "sdist", "directory", "git"]
    assert [each.is_editable for each in sources] == [False, False, True, False]
    assert sources[2].url == (tmp_path / "app").as_uri()
    assert sources[3].url == f"git+https://h.example/o/n.git@{COMMIT}#subdirectory=sub/dir"
    assert (sources[3].revision, sources[3].reference) == (COMMIT, "main")
    asked = [each.text for each in read(tmp_path / "pixi.lock", platform="linux-64").requirements]
    assert f"-e app @ {(tmp_path / 'app').as_uri()}" in asked
    assert f"z @ https://h.example/z-1.0.tar.gz#sha256={B}" in asked
    assert "pypi:y==1.0" in asked


def test_source_code_of_a_conda_package_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    text = "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n"
    text += "      linux-64:\n      - conda: ./mine\n"
    text += (
        "      osx-64: []\npackages:\n- conda: ./mine\n  name: mine\n  version: '1'\n  build: h0\n  subdir: linux-64\n"
    )
    found = lock(tmp_path, "pixi.lock", text + f"  input:\n    hash: {A}\n    globs: []\n")
    assert found.environment().on("osx-64", found.path) == ()
    with pytest.raises(UsageError, match="mine is locked as source code"):
        found.environment().on("linux-64", found.path)


@pytest.mark.parametrize("name", ["pixi.lock", "conda.lock"])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_url_names_a_package_of_a_local_channel(tmp_path: Path, name: str, end: str) -> None:
    """conda-lockfiles and conda-workspaces leave name, version, build and subdir to the URL."""
    text = PIXI.partition("      - pypi")[0].replace(CHANNEL, "file:///a/c%20d").replace("x-1.2", "x-y-1!1.2")
    text += f"packages:\n- conda: file:///a/c%20d/linux-64/x-y-1!1.2-h0_3.conda\n  build_number: 3\n  sha256: {A}"
    text = text.replace("version: 6", "version: 1") if name == "conda.lock" else text
    found = lock(tmp_path, name, text.replace("\n", end or "\n") + end)
    (package,) = found.environment().on("linux-64", found.path)
    assert isinstance(package, LockedConda)
    record = package.record
    assert (record.name, record.version, record.build, record.subdir) == ("x-y", "1!1.2", "h0_3", "linux-64")
    assert (record.url, record.origin) == ("file:///a/c%20d/linux-64/x-y-1%211.2-h0_3.conda", "file:///a/c%20d")


def test_a_layout_that_rattler_does_not_write_is_read_in_full(tmp_path: Path) -> None:
    text = PIXI.replace("\npackages:\n- conda", "\npackages: # all\n- conda").replace(
        "  md5:", "  checked: true\n  md5:"
    )
    found = lock(tmp_path, "pixi.lock", text)
    assert [each.partition(": ")[2] for each in found.warnings] == [
        "packages.checked has no effect: bridge does not know this key"
    ]


CONDA_LOCK = f"""version: 1
metadata:
  channels:
  - url: https://c.example/$TOKEN/c
    used_env_vars: [TOKEN]
  - nodefaults
  platforms: [linux-64, osx-64]
package:
- {{name: x, version: '1', manager: conda, platform: linux-64, url: "{CHANNEL}/noarch/x-1-pyh0_0.conda",
   dependencies: {{python: ">=3.9", y: ""}}, hash: {{md5: {"d" * 32}}}, category: main}}
- {{name: x, version: '1', manager: conda, platform: linux-64, url: "{CHANNEL}/noarch/x-1-pyh0_0.conda",
   dependencies: {{}}, hash: {{md5: {"d" * 32}}}, category: dev}}
- {{name: __glibc, version: '2.17', manager: conda, platform: linux-64,
   url: "file:///t/__glibc-2.17-0.tar.bz2", hash: {{md5: ''}}}}
- {{name: y, version: '1.0', manager: pip, platform: linux-64, url: "https://h.example/y-1.0-py3-none-any.whl",
   dependencies: {{}}, hash: {{sha256: {A}}}, category: test, optional: true}}
- {{name: z, version: '1.0', manager: pip, platform: linux-64, url: "https://h.example/z.tar.gz",
   source: {{type: url, url: "https://h.example/z.tar.gz"}}, hash: {{sha256: {A}}}}}
- {{name: n, version: '1.0', manager: pip, platform: linux-64, url: "git+https://h.example/n.git@{COMMIT}"}}
"""


def test_the_values_of_a_conda_lock(tmp_path: Path) -> None:
    found = lock(tmp_path, "conda-lock.yml", CONDA_LOCK, environ={"TOKEN": "tok"})
    environment = found.environment()
    assert environment.channels == ("https://c.example/tok/c",)
    assert names(found) == ["x 1", "z 1.0", "n 1.0"]
    assert "packages of test are left out" in found.warnings[0]
    (x, z, n) = environment.on("linux-64", found.path)
    assert isinstance(x, LockedConda)
    assert (x.is_complete, x.record.build, x.record.noarch) == (False, "pyh0_0", "python")
    assert x.record.requirements == ("python >=3.9", "y")
    assert isinstance(z, LockedSource)
    assert isinstance(n, LockedSource)
    assert (z.kind, n.kind, n.revision) == ("archive", "git", COMMIT)
    more = lock(tmp_path, "conda-lock.yml", CONDA_LOCK, environ={"TOKEN": "tok"}, extras=["test"])
    assert names(more) == ["x 1", "y 1.0", "z 1.0", "n 1.0"]
    assert environment.on("osx-64", found.path) == ()


def uv_package(
    name: str, version: str = "1.0", more: str = "", source: str = '{registry = "https://i.example/simple"}'
) -> str:
    stem = name.replace("-", "_")
    file = f'{{url = "https://h.example/{stem}-{version}-py3-none-any.whl", hash = "sha256:{A}"}}'
    wheels = f"wheels = [{file}]\n" if "registry" in source else ""
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {source}\n{wheels}{more}\n'


def uv_lock(*packages: str, top: str = "") -> str:
    return f'version = 1\nrequires-python = ">=3.9"\n{top}\n' + "".join(packages)


APP = """
dependencies = [
  {name = "y", marker = "python_full_version < '3.11.4'"},
  {name = "fork", version = "1.0", marker = "python_version < '3.12'"},
  {name = "fork", version = "2.0", marker = "python_version >= '3.12'"}, {name = "w", extra = ["more"]},
  {name = "win", marker = "sys_platform == 'win32'"},
]
[package.optional-dependencies]
e = [{name = "of-e"}]
[package.dev-dependencies]
dev = [{name = "of-dev"}]
docs = [{name = "of-docs"}]
[package.metadata]
provides-extras = ["e", "none"]
"""
UV = uv_lock(
    uv_package("app", "0.1", APP, '{editable = "."}'),
    uv_package("y"),
    uv_package("fork"),
    uv_package("fork", "2.0"),
    uv_package("w", more='[package.optional-dependencies]\nmore = [{name = "of-more"}]'),
    *(uv_package(name) for name in ("of-e", "of-dev", "of-docs", "of-more", "win", "unused")),
)


@pytest.mark.parametrize(
    ("options", "python", "subdir", "expected"),
    [
        ({}, "3.12.1", "linux-64", "app fork2 of-dev of-more w"),
        ({}, "3.11.3", "linux-64", "app fork1 of-dev of-more w y"),
        ({}, "3.11.4", "linux-64", "app fork1 of-dev of-more w"),
        ({}, "3.12.1", "win-64", "app fork2 of-dev of-more w win"),
        ({"extras": ["e"]}, "3.12.1", "linux-64", "app fork2 of-dev of-e of-more w"),
        ({"extras": ["none"], "groups": ["docs"]}, "3.12.1", "linux-64", "app fork2 of-docs of-more w"),
    ],
)
def test_what_a_uv_lock_needs(
    tmp_path: Path, options: dict[str, object], python: str, subdir: str, expected: str
) -> None:
    found = lock(tmp_path, "uv.lock", UV, **options)
    spelled = sorted(
        each.replace("fork 1.0", "fork1").replace("fork 2.0", "fork2").split()[0]
        for each in names(found, python, subdir)
    )
    assert " ".join(spelled) == expected


def test_the_members_of_a_workspace_without_a_project(tmp_path: Path) -> None:
    members = '[manifest]\nmembers = ["a", "b"]\n'
    text = uv_lock(
        uv_package("a", more='dependencies = [{name = "b"}]', source='{editable = "packages/a"}'),
        uv_package("b", more='dependencies = [{name = "y"}]', source='{virtual = "packages/b"}'),
        uv_package("y"),
        top=members,
    )
    assert names(lock(tmp_path, "uv.lock", text)) == ["a 1.0", "y 1.0"]


def test_extras_that_exclude_each_other(tmp_path: Path) -> None:
    more = """
dependencies = [
  {name = "y", version = "1.0", marker = "extra == 'extra-3-app-cpu'"},
  {name = "y", version = "2.0", marker = "extra != 'extra-3-app-cpu'"},
]
[package.metadata]
provides-extras = ["cpu"]
"""
    text = uv_lock(uv_package("app", "1", more, '{virtual = "."}'), uv_package("y"), uv_package("y", "2.0"))
    assert names(lock(tmp_path, "uv.lock", text)) == ["y 2.0"]
    assert names(lock(tmp_path, "uv.lock", text, extras=["cpu"])) == ["y 1.0"]


def test_sources_of_a_uv_lock(tmp_path: Path) -> None:
    file = f'hash = "sha256:{A}"'
    text = uv_lock(
        uv_package(
            "app", "1", f"dependencies = [{', '.join(f'{{name = {name!r}}}' for name in 'abcde')}]", '{virtual = "."}'
        ),
        uv_package("a", source=f'{{git = "https://h.example/a.git?tag=v1#{COMMIT}"}}'),
        uv_package(
            "b", more=f"sdist = {{{file}}}", source='{url = "https://h.example/b-1.0.tar.gz", subdirectory = "s"}'
        ),
        uv_package(
            "c",
            more=f'wheels = [{{filename = "c-1.0-py3-none-any.whl", {file}}}]',
            source='{path = "d/c-1.0-py3-none-any.whl"}',
        ),
        uv_package("d", source='{directory = "../d"}'),
        '[[package]]\nname = "e"\nversion = "1"\nsource = {registry = "files"}\n'
        f'wheels = [{{path = "e-1-py3-none-any.whl", {file}}}]\n',
    )
    a, b, c, d, e = lock(tmp_path, "uv.lock", text).environment().on("linux-64", tmp_path)
    assert a.url == f"git+https://h.example/a.git@{COMMIT}"
    assert b.url == "https://h.example/b-1.0.tar.gz#subdirectory=s"
    assert isinstance(c, LockedWheel)
    assert isinstance(e, LockedWheel)
    assert (c.url, c.is_direct) == ((tmp_path / "d/c-1.0-py3-none-any.whl").as_uri(), True)
    assert d.url == (tmp_path.parent / "d").as_uri()
    assert (e.url, e.index, e.is_direct) == (
        (tmp_path / "files/e-1-py3-none-any.whl").as_uri(),
        (tmp_path / "files").as_uri(),
        False,
    )


def test_markers_on_the_python_are_exact_between_the_samples() -> None:
    samples = pythons(["python_full_version < '3.11.4' and sys_platform == 'linux'"], ">=3.10.2,<3.13")
    assert samples == ("3.10.2", "3.10.3", "3.11.0", "3.11.4", "3.11.5", "3.12.0")
    holds = [version < "3.11.4" for version in samples]
    assert python_marker(samples, holds) == "python_full_version < '3.11.4'"
    assert python_marker(samples, [not each for each in holds]) == "python_full_version >= '3.11.4'"
    assert python_marker(samples, [True] * 6) == ""


PYLOCK = f"""lock-version = "1.0"
created-by = "tests"
[[packages]]
name = "a"
directory = {{path = "a", editable = true, subdirectory = "s"}}
[[packages]]
name = "b"
version = "1.0"
vcs = {{type = "git", url = "https://h.example/b", commit-id = "{COMMIT}", subdirectory = "s"}}
[[packages]]
name = "c"
archive = {{url = "https://h.example/main.zip", hashes = {{sha256 = "{A}"}}}}
[[packages]]
name = "d"
archive = {{path = "d-1.0-py3-none-any.whl", hashes = {{sha256 = "{A}"}}}}
"""


def test_folders_repositories_and_archives_of_a_pylock(tmp_path: Path) -> None:
    asked = [each.text for each in read_text_of(tmp_path, "pylock.toml", PYLOCK)]
    here = tmp_path.as_uri()
    assert asked == [
        f"-e a @ {here}/a#subdirectory=s",
        f"b @ git+https://h.example/b@{COMMIT}#subdirectory=s",
        f"c @ https://h.example/main.zip#sha256={A}",
        f"d @ {here}/d-1.0-py3-none-any.whl#sha256={A}",
    ]


def read_text_of(folder: Path, name: str, text: str) -> tuple[Requirement, ...]:
    (folder / name).write_text(text)
    return read(folder / name, platform="linux-64", environ={}).requirements


WRONG: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "a version of rattler to come": (
        "pixi.lock",
        PIXI.replace("version: 6", "version: 8"),
        "requirement-file",
        ("version 8",),
    ),
    "a lock of rattler without a field": ("pixi.lock", PIXI.replace("  name: w\n", ""), "lock-invalid", ("name",)),
    "git without a commit": ("pixi.lock", PIXI.replace(f"#{COMMIT}", "#main"), "lock-invalid", ()),
    "a wheel without a hash": (
        "pixi.lock",
        PIXI.replace(f"  sha256: {A}\n  requires", "  requires"),
        "lock-invalid",
        ("no sha256",),
    ),
    "a conda-lock of another version": (
        "conda-lock.yml",
        CONDA_LOCK.replace("version: 1", "version: 2", 1),
        "requirement-file",
        ("version 2",),
    ),
    "a conda-lock without packages": (
        "env.yml",
        "version: 1\nmetadata: {}\npackage: []\n",
        "requirement-file",
        ("no packages",),
    ),
    "a conda-lock without a variable": ("conda-lock.yml", CONDA_LOCK, "requirement-file", ("TOKEN is not set",)),
    "another file": (
        "conda-lock.yml",
        CONDA_LOCK.replace("x-1-pyh0_0", "x-2-pyh0_0").replace("/$TOKEN", ""),
        "lock-invalid",
        ("x-2-pyh0_0.conda",),
    ),
    "a uv.lock of another version": (
        "uv.lock",
        UV.replace("version = 1\n", "version = 2\n", 1),
        "requirement-file",
        ("version 2",),
    ),
    "an edge to nothing": (
        "uv.lock",
        UV.replace('name = "of-dev"\nversion', 'name = "else"\nversion'),
        "lock-invalid",
        ("of-dev is not locked",),
    ),
    "an edge to two": (
        "uv.lock",
        UV.replace('"fork", version = "2.0"', '"fork"'),
        "lock-invalid",
        ("fork is locked 2 times",),
    ),
    "an unknown source": (
        "uv.lock",
        UV.replace("{editable", "{future"),
        "requirement-file",
        ("package.source.future",),
    ),
    "a lock of a script": ("uv.lock", uv_lock(uv_package("y")), "requirement-file", ("no project",)),
    "no environments": (
        "pixi.lock",
        "version: 6\nenvironments: {}\npackages: []\n",
        "lock-environment",
        ("has no environments",),
    ),
    "a lock of rattler without end": (
        "pixi.lock",
        f"{PIXI}{MANY.format('- conda: x')}",
        "requirement-file",
        ("at most 50000",),
    ),
    "a uv.lock without end": ("uv.lock", f"{UV}{MANY.format('[[package]]')}", "requirement-file", ("at most 50000",)),
    "a list without end": (
        "explicit.lock",
        f"@EXPLICIT\n{MANY.format('https://c.example/x')}",
        "requirement-file",
        ("at most 50000",),
    ),
    "a lock of 32 MB": ("pixi.lock", f"{PIXI}{' ' * (32 << 20)}", "requirement-file", ("larger than",)),
    "a uv.lock without hashes": ("uv.lock", UV.replace(f', hash = "sha256:{A}"', ""), "lock-invalid", ("no sha256",)),
}


@pytest.mark.parametrize("case", WRONG)
def test_locks_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    name, text, error_id, words = WRONG[case]
    (tmp_path / name).write_text(text)
    with pytest.raises((UsageError, UnsafeInputError)) as caught:
        read(tmp_path / name, platform="linux-64", environ={})
    assert caught.value.id == error_id, told(caught.value)
    assert [word for word in (*words, str(tmp_path)) if word not in told(caught.value)] == [], told(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "options", "words"),
    [
        ("pixi.lock", PIXI, {"extras": ["e"]}, "neither extras nor groups"),
        ("pixi.lock", PIXI, {"environment": "other"}, "no environment 'other'"),
        ("conda-lock.yml", CONDA_LOCK, {"extras": ["other"]}, "no category 'other'"),
        ("conda-lock.yml", CONDA_LOCK, {"groups": ["other"]}, "no groups"),
        ("uv.lock", UV, {"extras": ["other"]}, "without the extra 'other'"),
        ("uv.lock", UV, {"groups": ["other"]}, "without the group 'other'"),
        ("uv.lock", UV, {"environment": "other"}, "no environments"),
        ("pixi.lock", PIXI, {"platform": "osx-64"}, "does not lock the platform osx-64"),
    ],
)
def test_parts_that_a_lock_does_not_have(
    tmp_path: Path, name: str, text: str, options: dict[str, object], words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        read(tmp_path / name, **{"platform": "linux-64", "environ": {"TOKEN": "tok"}} | options)  # type: ignore[arg-type]
    assert words in told(caught.value)


def test_what_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a lock that bridge reads"):
        lock(tmp_path, "requirements.txt", "x==1\n")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_lock_that_an_editor_saved_with_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "pixi.lock").write_bytes(PIXI.encode(encoding))
    assert names(read_lock(tmp_path / "pixi.lock"), "3.12.1") == names(lock(tmp_path, "plain.lock", PIXI), "3.12.1")


def test_a_lock_of_rattler_from_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pixi.lock"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="cannot be read from a pipe"):
        lock_of_text(pipe, PIXI, Chosen(platform="linux-64"))
