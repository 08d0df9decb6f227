"""Tables of tools in pyproject.toml, and pixi.toml: what they ask for, and from where."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config.builds import Formats
from bridge.requirements.files.poetry_versions import marker_of_python, specifier_of
from bridge.requirements.files.reading import read
from tests.support.builders import make_wheel
from tests.unit.requirements.test_requirement_files import refuse, texts, write

PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = ["torch>=2", "numpy"]\n'

UV_INDEXES = """
[tool.uv.sources]
torch = {index = "pytorch"}
[[tool.uv.index]]
name = "pytorch"
url = "https://d.example/whl"
explicit = true
[[tool.uv.index]]
url = "https://a.example/simple"
[[tool.uv.index]]
url = "https://flat.example/"
format = "flat"
"""


def test_a_project_is_bound_to_an_index_of_uv(tmp_path: Path) -> None:
    found = read(write(tmp_path, "pyproject.toml", PROJECT + UV_INDEXES))
    assert texts(found) == ["pypi:torch>=2", "numpy"]
    assert found.project_indexes == {"torch": "https://d.example/whl"}
    assert (found.index_url, found.extra_index_urls) == (None, ("https://a.example/simple",))
    assert found.find_links == ("https://flat.example/",)
    assert found.warnings == ()


def test_the_default_index_of_uv_comes_last(tmp_path: Path) -> None:
    text = UV_INDEXES + '[[tool.uv.index]]\nurl = "https://z.example/simple"\ndefault = true\n'
    found = read(write(tmp_path, "pyproject.toml", PROJECT + text))
    assert (found.index_url, found.extra_index_urls) == ("https://a.example/simple", ("https://z.example/simple",))


SOURCES = [
    ('{git = "https://h.example/o/n"}', "torch @ git+https://h.example/o/n"),
    ('{git = "https://h.example/o/n", tag = "v1"}', "torch @ git+https://h.example/o/n@v1"),
    ('{git = "git@h.example:o/n.git", rev = "abc"}', "torch @ git+ssh://git@h.example/o/n.git@abc"),
    (
        '{git = "ssh://git@h.example/o/n", branch = "main", subdirectory = "a b"}',
        "torch @ git+ssh://git@h.example/o/n@main#subdirectory=a%20b",
    ),
    ('{url = "https://h.example/torch-2.0.tar.gz"}', "torch @ https://h.example/torch-2.0.tar.gz"),
    ('[{index = "i", marker = "sys_platform == \'linux\'"}]', "pypi:torch>=2"),
    ('[{index = "i", marker = "sys_platform == \'win32\'"}]', "torch>=2"),
    ('[{index = "i", extra = "cpu"}]', "torch>=2"),
    ("{workspace = false}", "torch>=2"),
]


@pytest.mark.parametrize(("source", "expected"), SOURCES)
def test_sources_of_uv(tmp_path: Path, source: str, expected: str) -> None:
    text = f'{PROJECT}[tool.uv.sources]\ntorch = {source}\n[[tool.uv.index]]\nname = "i"\nurl = "https://i.example/"\n'
    found = read(write(tmp_path, "pyproject.toml", text), platform="linux-64")
    assert texts(found)[0] == expected
    assert found.project_indexes == ({"torch": "https://i.example/"} if expected.startswith("pypi:") else {})


def test_a_source_of_an_extra_or_a_group(tmp_path: Path) -> None:
    text = """
[project]
name = "app"
[project.optional-dependencies]
cpu = ["torch"]
gpu = ["torch"]
[dependency-groups]
dev = ["torch"]
[tool.uv.sources]
torch = [{index = "c", extra = "cpu"}, {index = "g", extra = "gpu"}, {index = "d", group = "dev"}]
[[tool.uv.index]]
name = "c"
url = "https://c.example/"
[[tool.uv.index]]
name = "g"
url = "https://g.example/"
[[tool.uv.index]]
name = "d"
url = "https://d.example/"
"""
    path = write(tmp_path, "pyproject.toml", text)
    assert read(path, extras=["gpu"]).project_indexes == {"torch": "https://g.example/"}
    assert read(path, groups=["dev"]).project_indexes == {"torch": "https://d.example/"}
    refuse(path, "tool.uv.sources.torch", "more than one source", extras=["gpu", "cpu"])


def test_paths_and_members_of_a_workspace(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "torch", "2.0")
    for name in ("helper", "other"):
        write(tmp_path, f"packages/{name}/pyproject.toml", f'[project]\nname = "corp-{name}"\n')
    root = '[project]\nname = "root"\n[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/other"]\n'
    write(tmp_path, "pyproject.toml", root)
    text = f'{PROJECT}[tool.uv.sources]\ntorch = {{path = "../{wheel.name}"}}\nnumpy = {{workspace = true}}\n'
    path = write(tmp_path, "app/pyproject.toml", text)
    refuse(path, "tool.uv.sources.numpy", "numpy should be a member of the uv workspace")
    write(tmp_path, "packages/helper/pyproject.toml", '[project]\nname = "NumPy"\n')
    found = read(
        write(tmp_path, "app/pyproject.toml", text.replace("workspace = true", "workspace = true, editable = false"))
    )
    assert texts(found) == [f"torch @ {wheel.as_uri()}", f"numpy @ {(tmp_path / 'packages/helper').as_uri()}"]
    write(tmp_path, "packages/helper/pyproject.toml", "[project]\n")
    write(tmp_path, "packages/other/pyproject.toml", '[project]\nname = "numpy"\n')
    refuse(path, "tool.uv.sources.numpy", "no member here has this name")
    lost = PROJECT + '[tool.uv.sources]\ntorch = {path = "none"}\n'
    refuse(write(tmp_path, "app/pyproject.toml", lost), "tool.uv.sources.torch", "neither a file nor a folder")


def test_a_member_has_the_sources_and_indexes_of_its_workspace(tmp_path: Path) -> None:
    make_wheel(tmp_path, "numpy", "1.0")
    root = """
[tool.uv.workspace]
members = ["packages/*"]
[tool.uv]
constraint-dependencies = ["scipy<2"]
[tool.uv.sources]
torch = {index = "i"}
numpy = {path = "numpy-1.0-py3-none-any.whl"}
[[tool.uv.index]]
name = "i"
url = "https://i.example/"
"""
    write(tmp_path, "pyproject.toml", root)
    found = read(write(tmp_path, "packages/a/pyproject.toml", PROJECT))
    assert texts(found) == ["pypi:torch>=2", f"numpy @ {(tmp_path / 'numpy-1.0-py3-none-any.whl').as_uri()}"]
    assert found.project_indexes == {"torch": "https://i.example/"}
    assert ([each.text for each in found.constraints], found.extra_index_urls) == (["scipy<2"], ("https://i.example/",))
    own = PROJECT + '[tool.uv.sources]\ntorch = {git = "https://h.example/o/n"}\n'
    assert texts(read(write(tmp_path, "packages/a/pyproject.toml", own)))[0] == "torch @ git+https://h.example/o/n"
    outside = read(write(tmp_path, "elsewhere/a/pyproject.toml", PROJECT))
    assert (texts(outside), outside.project_indexes) == (["torch>=2", "numpy"], {})
    write(tmp_path, "pyproject.toml", "[[[")
    assert texts(read(write(tmp_path, "packages/a/pyproject.toml", PROJECT))) == ["torch>=2", "numpy"]


UV_SETTINGS = """
[tool.uv]
constraint-dependencies = ["scipy<2"]
dev-dependencies = ["pytest"]
environments = ["sys_platform == 'linux'"]
prerelease = "allow"
exclude-newer = "2026-01-31"
no-build = true
no-binary-package = ["numpy"]
allow-insecure-host = ["h.example"]
link-mode = "copy"
"""


def test_settings_of_uv(tmp_path: Path) -> None:
    path = write(tmp_path, "pyproject.toml", PROJECT + UV_SETTINGS)
    found = read(path)
    assert [each.text for each in found.constraints] == ["scipy<2"]
    assert found.environments == ("sys_platform == 'linux'",)
    assert (found.pre, found.exclude_newer, found.trusted_hosts) == (True, 1769817600000, ("h.example",))
    assert found.formats == Formats(only_binary=frozenset({":all:"}), no_binary=frozenset({"numpy"}))
    (warning,) = found.warnings
    assert "tool.uv.link-mode has no effect" in warning
    assert texts(read(path, groups=["dev"])) == ["pytest"]


UV_ERRORS = [
    ('[tool.uv]\noverride-dependencies = ["a"]\n', ("tool.uv.override-dependencies", "constraint-dependencies")),
    ('[tool.uv]\nresolution = "lowest"\n', ("tool.uv.resolution", "'lowest'", "highest")),
    ('[tool.uv]\nindex-strategy = "unsafe-best-match"\n', ("tool.uv.index-strategy", "unsafe-best-match")),
    ('[tool.uv.sources]\ntorch = {index = "none"}\n', ("tool.uv.sources.torch", "'none'", "indexes: none")),
    ('[tool.uv.sources]\ntorch = {gitt = "x"}\n', ("tool.uv.sources.torch.gitt", "does not know", "git")),
    ('[tool.uv.sources]\ntorch = {git = "x", path = "y"}\n', ("tool.uv.sources.torch", "exactly one of")),
    ('[tool.uv.sources]\ntorch = {git = "x", rev = "y", tag = "z"}\n', ("tool.uv.sources.torch", "one of rev")),
    ('[tool.uv.sources]\ntorch = {index = "x", marker = "python_version < \'3\'"}\n', ("depends on the python",)),
    ('[tool.uv.sources]\ntorch = {index = "x", marker = "none"}\n', ("not a marker",)),
    ('[tool.uv.sources]\ntorch = "x"\n', ("tool.uv.sources.torch", "table")),
    (
        (
            '[tool.uv.sources]\ntorch = {index = "x"}\n'
            '[[tool.uv.index]]\nname = "x"\nurl = "https://x/"\nformat = "flat"\n'
        ),
        ("tool.uv.sources.torch", "flat index", "--find-links"),
    ),
    ('[[tool.uv.index]]\nname = "x"\n', ("tool.uv.index[0].url", "text")),
    ('[[tool.uv.index]]\nurl = "x"\nfoo = 1\n', ("tool.uv.index[0].foo", "does not know")),
]


@pytest.mark.parametrize(("text", "words"), UV_ERRORS)
def test_what_bridge_refuses_of_uv(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    refuse(write(tmp_path, "pyproject.toml", PROJECT + text), *words)


MANIFEST = """
[workspace]
channels = ["conda-forge", {channel = "pytorch", priority = 2}]
platforms = ["linux-64", "osx-arm64"]
exclude-newer = "2026-01-31"
[dependencies]
python = "3.11.*"
numpy = {version = ">=1, <2", build = "py*", channel = "conda-forge"}
zlib = "*"
x = {build-number = ">=1", md5 = "MD5"}
[build-dependencies]
cmake = "*"
zlib = "1"
[target.linux.dependencies]
zlib = ">=1.3"
[target.unix.dependencies]
zlib = "1.2.*"
[target.osx-arm64.pypi-dependencies]
rich = "*"
[constraints]
openssl = ">=3"
[pypi-dependencies]
rich = {version = ">=13", extras = ["jupyter"], env-markers = "os_name == 'posix'"}
torch = {version = "*", index = "https://d.example/whl"}
tool = {git = "https://h.example/o/n", rev = "abc"}
[pypi-options]
index-url = "https://m.example/simple"
extra-index-urls = ["https://e.example/simple"]
find-links = [{path = "dist"}, {url = "https://f.example/"}]
no-build = ["rich"]
[system-requirements]
cuda = "12"
macos = "13.0"
libc = {family = "glibc", version = "2.28"}
[feature.test]
channels = ["bioconda"]
[feature.test.dependencies]
pytest = "*"
[environments]
test = {features = ["test"], solve-group = "default"}
alone = {features = ["test"], no-default-feature = true}
both = ["test"]
[tasks]
run = "true"
""".replace("MD5", "a" * 32)
CONDA = ["cmake", "python 3.11.*", "conda-forge::numpy >=1,<2 py*", f'x *[build_number=">=1",md5="{"a" * 32}"]']


def test_a_manifest_of_pixi(tmp_path: Path) -> None:
    path = write(tmp_path, "pixi.toml", MANIFEST)
    found = read(path, platform="linux-64")
    assert sorted(texts(found)) == sorted(
        [
            *CONDA,
            "zlib >=1.3",
            "rich[jupyter]>=13 ; os_name == 'posix'",
            "pypi:torch",
            "tool @ git+https://h.example/o/n@abc",
            "__cuda >=12",
            "__glibc >=2.28",
        ]
    )
    assert found.channels == ("pytorch", "conda-forge")
    assert [each.text for each in found.constraints] == ["openssl >=3"]
    assert (found.index_url, found.extra_index_urls) == ("https://e.example/simple", ("https://m.example/simple",))
    assert found.find_links == (str(tmp_path / "dist"), "https://f.example/")
    assert found.project_indexes == {"torch": "https://d.example/whl"}
    assert found.formats == Formats(only_binary=frozenset({"rich"}))
    assert found.exclude_newer == 1769817600000
    (warning,) = found.warnings
    assert "tasks has no effect" in warning


def test_the_platform_of_a_manifest(tmp_path: Path) -> None:
    path = write(tmp_path, "pixi.toml", MANIFEST)
    apple = texts(read(path, platform="osx-arm64"))
    assert {"zlib 1.2.*", "rich", "__osx >=13.0"} <= set(apple)
    assert not {"__glibc >=2.28", "zlib >=1.3"} & set(apple)
    refuse(path, "workspace.platforms", "win-64", "--platform", platform="win-64")


def test_environments_of_a_manifest(tmp_path: Path) -> None:
    path = write(tmp_path, "pixi.toml", MANIFEST)
    test = read(path, environment="test", platform="linux-64")
    assert {"pytest", "python 3.11.*"} <= set(texts(test))
    assert test.channels == ("pytorch", "bioconda", "conda-forge")
    assert [warning for warning in test.warnings if "solve-group has no effect" in warning] != []
    assert texts(read(path, environment="alone", platform="linux-64")) == ["pytest"]
    assert "pytest" in texts(read(path, environment="both", platform="linux-64"))
    refuse(path, "environments", "'none'", "alone, both, default, test", environment="none", platform="linux-64")
    refuse(write(tmp_path, "pixi.toml", MANIFEST + "[feature.x]\n").parent / "pixi.toml", "neither", extras=["x"])
    text = '[workspace]\nchannels = []\n[environments]\nx = ["gone"]\n'
    refuse(write(tmp_path, "pixi.toml", text), "environments", "there is no feature 'gone'", environment="x")
    refuse(write(tmp_path, "r.txt", "x"), "environments", "--environment x", environment="x")


PIXI_IN_PYPROJECT = """
[project]
name = "app"
requires-python = ">=3.11"
dependencies = ["owslib"]
[project.optional-dependencies]
plot = ["matplotlib"]
[dependency-groups]
test = ["pytest"]
[tool.pixi.project]
channels = ["conda-forge"]
platforms = ["linux-64"]
[tool.pixi.dependencies]
libsodium = ">=1"
[tool.pixi.feature.cuda.dependencies]
cuda = "*"
[tool.pixi.environments]
test = ["test"]
plot = {features = ["plot", "cuda"], no-default-feature = true}
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["owslib", "libsodium >=1"]),
        ({"environment": "default"}, ["owslib", "libsodium >=1"]),
        ({"environment": "test"}, ["owslib", "pytest", "libsodium >=1"]),
        ({"environment": "plot"}, ["matplotlib", "cuda"]),
        ({"extras": ["plot"]}, ["owslib", "matplotlib", "libsodium >=1"]),
        ({"groups": ["test"]}, ["pytest"]),
    ],
)
def test_pixi_in_a_pyproject(tmp_path: Path, options: dict[str, str], expected: list[str]) -> None:
    path = write(tmp_path, "pyproject.toml", PIXI_IN_PYPROJECT)
    found = read(path, platform="linux-64", **options)  # type: ignore[arg-type]
    assert texts(found) == expected
    assert (found.channels, found.requires_python) == (("conda-forge",), ">=3.11")
    assert bool(found.warnings) == ("groups" in options)


PIXI_ERRORS = [
    ('[dependencies]\nx = {path = "."}\n', ("dependencies.x.path", "builds no conda packages")),
    ("[dependencies]\nx = {versionn = '1'}\n", ("dependencies.x.versionn", "does not know", "version")),
    ("[dependencies]\nx = 1\n", ("dependencies.x", "table")),
    ("[dependencies]\nx = '=>1'\n", ("dependencies.x", "MatchSpec")),
    ("[pypi-dependencies]\nx = '1'\n", ("pypi-dependencies.x", "not a version specifier")),
    ('[pypi-dependencies]\nx = {git = "a", path = "b"}\n', ("pypi-dependencies.x", "one of index, git")),
    ('[pypi-dependencies]\nx = {path = "none"}\n', ("pypi-dependencies.x", "neither a file nor a folder")),
    ("[pypi-options]\nno-build-isolation = true\n", ("pypi-options.no-build-isolation",)),
    ("[pypi-options]\nindex-strategy = 'unsafe-best-match'\n", ("pypi-options.index-strategy",)),
    ("[pypi-options]\ndependency-overrides = {a = '*'}\n", ("pypi-options.dependency-overrides",)),
    ("[system-requirements]\nlibc = {family = 'musl', version = '1'}\n", ("system-requirements.libc", "glibc")),
    ("[target.beos.dependencies]\nx = '*'\n", ("target.beos", "not a platform")),
    ("[dev]\nx = {path = '.'}\n", ("dev", "builds no conda packages")),
]


@pytest.mark.parametrize(("text", "words"), PIXI_ERRORS)
def test_what_bridge_refuses_of_pixi(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    refuse(write(tmp_path, "pixi.toml", f"[workspace]\nchannels = []\n{text}"), *words)


PLATFORMS = """
[workspace]
channels = ["c"]
platforms = [
  { name = "cuda", platform = "linux-64", cuda = "12" },  # TOML 1.1
  {
    platform = "osx-arm64",
    macos = "13.5", # at least
  },
]
[dependencies]
x = {
  version = ">=1", # with a comment, and
  when = "python >=3", # "quotes" }
}
[target.cuda.dependencies]
pytorch = "*"
[target.osx.dependencies]
mlx = "*"
[environments.default.dependencies]
y = "*"
[environments.more]
features = []
"""


def test_platforms_with_conditions(tmp_path: Path) -> None:
    path = write(tmp_path, "pixi.toml", PLATFORMS)
    x = 'x >=1[when="python >=3"]'
    assert texts(read(path, platform="linux-64")) == ["__cuda >=12", "y", x, "pytorch"]
    assert texts(read(path, platform="osx-arm64")) == ["__osx >=13.5", "y", x, "mlx"]
    assert texts(read(path, platform="osx-arm64", environment="more")) == ["__osx >=13.5", x, "mlx"]
    refuse(path, "workspace.platforms", "linux-64, osx-arm64", platform="win-64")
    plain = PLATFORMS.replace("platforms = [", 'platforms = ["linux-64",')
    assert texts(read(write(tmp_path, "pixi.toml", plain), platform="linux-64")) == ["y", x]
    refuse(write(tmp_path, "pixi.toml", PLATFORMS + "x = {a = 1\n"), "not TOML")


def test_a_package_is_no_workspace(tmp_path: Path) -> None:
    refuse(write(tmp_path, "pixi.toml", '[package]\nname = "x"\n'), "a package that pixi builds", "workspace")


def test_the_channel_priority_of_a_manifest(tmp_path: Path) -> None:
    text = '[workspace]\nchannels = ["a"]\nchannel-priority = "{}"\n[dependencies]\nx = "*"\n'
    assert texts(read(write(tmp_path, "pixi.toml", text.format("strict")))) == ["x"]
    refuse(write(tmp_path, "pixi.toml", text.format("disabled")), "channel-priority", "'disabled'", "flexible")


POETRY = """
[tool.poetry]
name = "app"
[tool.poetry.dependencies]
python = "^3.9"
requests = "^2.1.3"
a = "~1.2"
b = {version = "^0.3", extras = ["y"], optional = true}
c = [{version = "^1", python = "<3.9"}, {version = "^2", python = "^3.9", platform = "linux"}]
d = {version = "*", source = "corp", markers = "os_name == 'nt'"}
e = {git = "https://h.example/o/n.git", tag = "v1", extras = ["z"]}
[tool.poetry.extras]
Why = ["b"]
[tool.poetry.group.dev.dependencies]
pytest = "*"
[tool.poetry.group.docs]
optional = true
include-groups = ["dev"]
[tool.poetry.group.docs.dependencies]
sphinx = ">=7,<8"
[[tool.poetry.source]]
name = "corp"
url = "https://corp.example/simple"
priority = "explicit"
[[tool.poetry.source]]
name = "more"
url = "https://more.example/simple"
priority = "supplemental"
"""
POETRY_MAIN = [
    "requests>=2.1.3,<3",
    "a>=1.2,<1.3",
    'c>=1,<2 ; python_version < "3.9"',
    'c>=2,<3 ; (python_version >= "3.9" and python_version < "4.0") and (sys_platform == "linux")',
    "pypi:d ; os_name == 'nt'",
    "e[z] @ git+https://h.example/o/n.git@v1",
]


@pytest.mark.parametrize(
    ("extras", "groups", "expected"),
    [
        ((), (), POETRY_MAIN),
        (("why",), (), [*POETRY_MAIN[:2], "b[y]>=0.3,<0.4", *POETRY_MAIN[2:]]),
        ((), ("dev",), ["pytest"]),
        ((), ("docs",), ["pytest", "sphinx>=7,<8"]),
        (("why",), ("docs",), [*POETRY_MAIN[:2], "b[y]>=0.3,<0.4", *POETRY_MAIN[2:], "pytest", "sphinx>=7,<8"]),
    ],
)
def test_a_project_of_poetry(
    tmp_path: Path, extras: tuple[str, ...], groups: tuple[str, ...], expected: list[str]
) -> None:
    found = read(write(tmp_path, "pyproject.toml", POETRY), extras=extras, groups=groups)
    assert texts(found) == expected
    assert (found.index_url, found.extra_index_urls) == (None, ("https://more.example/simple",))
    assert found.requires_python == ">=3.9,<4"
    assert bool(found.project_indexes) == (not groups or bool(extras))
    assert [warning for warning in found.warnings if "group.dev is left out; --group dev" in warning] == (
        [] if "dev" in groups else list(found.warnings)
    )


def test_poetry_beside_project(tmp_path: Path) -> None:
    text = '[[tool.poetry.source]]\nname = "corp"\nurl = "https://corp.example/simple"\n'
    text += '[tool.poetry.dependencies]\ntorch = {source = "corp"}\nnumpy = {git = "https://h.example/n"}\nmore = "*"\n'
    path = write(tmp_path, "pyproject.toml", PROJECT + text)
    found = read(path)
    assert texts(found) == ["pypi:torch>=2", "numpy @ git+https://h.example/n"]
    assert (found.index_url, found.project_indexes) == (
        "https://corp.example/simple",
        {"torch": "https://corp.example/simple"},
    )
    (warning,) = found.warnings
    assert "tool.poetry.dependencies.more" in warning
    dynamic = PROJECT.replace('dependencies = ["torch>=2", "numpy"]', 'dynamic = ["dependencies"]')
    assert texts(read(write(tmp_path, "pyproject.toml", dynamic + text)))[-1] == "more"


POETRY_ERRORS = [
    ('a = "^1 || ^2"\n', ("tool.poetry.dependencies.a", "alternatives")),
    ('a = "^^1"\n', ("tool.poetry.dependencies.a",)),
    ('a = {version = "1", foo = 1}\n', ("tool.poetry.dependencies.a.foo", "does not know")),
    ('a = {version = "1", source = "none"}\n', ("tool.poetry.dependencies.a", "'none'")),
    ("a = 1\n", ("tool.poetry.dependencies.a", "table")),
]


@pytest.mark.parametrize(("text", "words"), POETRY_ERRORS)
def test_what_bridge_refuses_of_poetry(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    refuse(write(tmp_path, "pyproject.toml", f"[tool.poetry.dependencies]\n{text}"), *words)
    refuse(write(tmp_path, "pyproject.toml", f"[tool.poetry.dependencies]\n{text}"), *words)


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("^1.2.3", ">=1.2.3,<2"), ("^0.2.3", ">=0.2.3,<0.3"), ("^0.0.3", ">=0.0.3,<0.0.4"), ("^0", ">=0,<1"),
        ("^0.0", ">=0.0,<0.1"), ("~1.2.3", ">=1.2.3,<1.3"), ("~1", ">=1,<2"), ("~=1.2", "~=1.2"), ("1.2", "==1.2"),
        ("1.2.*", "==1.2.*"), ("=1", "==1"), ("*", ""), (">=1,<2", ">=1,<2"), (">=1 <2", ">=1,<2"),
        ("^1.0b1", ">=1.0b1,<2"), ("^3.9,<3.12", ">=3.9,<4,<3.12"),
    ],
)  # fmt: skip
def test_constraints_of_poetry(constraint: str, expected: str) -> None:
    assert specifier_of(constraint) == expected


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("*", ""),
        (">=3.8", 'python_version >= "3.8"'),
        ("3", 'python_version == "3.0"'),
        ("3.8.*", 'python_version == "3.8.*"'),
        ("<3.8.1", 'python_full_version < "3.8.1"'),
        ("<3.8 || >3.9", '(python_version < "3.8") or (python_version > "3.9")'),
    ],
)
def test_pythons_of_poetry(constraint: str, expected: str) -> None:
    assert marker_of_python(constraint) == expected


PDM = """
[tool.pdm.dev-dependencies]
test = ["pytest"]
[[tool.pdm.source]]
url = "https://me.example/simple"
name = "pypi"
verify_ssl = false
[[tool.pdm.source]]
url = "https://corp.example/simple"
name = "corp"
include_packages = ["Torch"]
[[tool.pdm.source]]
url = "https://links.example"
type = "find_links"
[tool.pdm.resolution]
allow-prereleases = true
"""


def test_a_project_of_pdm(tmp_path: Path) -> None:
    path = write(tmp_path, "pyproject.toml", PROJECT + PDM)
    found = read(path)
    assert texts(found) == ["torch>=2", "numpy"]
    assert (found.index_url, found.find_links, found.pre) == (
        "https://me.example/simple",
        ("https://links.example",),
        True,
    )
    assert (found.project_indexes, found.trusted_hosts) == ({"torch": "https://corp.example/simple"}, ("me.example",))
    assert texts(read(path, groups=["test"])) == ["pytest"]
    refuse(write(tmp_path, "pyproject.toml", PROJECT + "[tool.pdm.resolution.overrides]\na = '1'\n"), "overrides")
    text = PROJECT + '[[tool.pdm.source]]\nurl = "x"\ninclude_packages = ["a-*"]\n'
    refuse(write(tmp_path, "pyproject.toml", text), "tool.pdm.source[0].include_packages", "patterns")


def test_settings_in_the_table_of_bridge_are_read_in_each_form(tmp_path: Path) -> None:
    text = '[tool.bridge]\nchannels = "a"\nindex = ["x=https://host.example/"]\nprefer = "wheel"\ncache-dir = "c"\n'
    found = read(write(tmp_path, "pyproject.toml", f'{text}exclude-newer = ["2026-01-31", "n_n=never"]\n'))
    assert (found.channels, found.project_indexes) == (("a",), {"x": "https://host.example/"})
    assert found.exclude_newer is not None
    assert found.exclude_newer_of == {"n-n": None}
    assert [warning for warning in found.warnings if "prefer" in warning] == []
    places = read(write(tmp_path, "pyproject.toml", '[tool.bridge]\nchannels = ["./c", "d"]\nfind-links = ["w"]\n'))
    assert (places.channels, places.find_links) == ((str(tmp_path / "c"), "d"), (str(tmp_path / "w"),))
    assert "cache-dir has no effect: only the user's" in " ".join(found.warnings)


def test_the_table_of_bridge(tmp_path: Path) -> None:
    text = '[tool.bridge]\ndependencies = ["gdal >=3"]\nchannels = ["conda-forge"]\n'
    text += 'index = {torch = "https://d.example/"}\n'
    found = read(write(tmp_path, "pyproject.toml", PROJECT + text))
    assert texts(found) == ["torch>=2", "numpy", "gdal >=3"]
    assert (found.channels, found.project_indexes) == (("conda-forge",), {"torch": "https://d.example/"})
    refuse(write(tmp_path, "pyproject.toml", "[tool.bridge]\ndependencies = ['>>']\n"), "tool.bridge.dependencies[0]")
    refuse(write(tmp_path, "pyproject.toml", "[tool.bridge]\nchanels = []\n"), "tool.bridge.chanels", "channels")


FROZEN = """a==1
numpy @ file:///croot/numpy_1680000000/work
scipy[x] @ file:///home/conda/artifacts/scipy-1.10.1-cp311-cp311-linux_x86_64.whl#sha256=abc ; os_name == "posix"
"""


def test_paths_of_the_machine_that_built_a_package(tmp_path: Path) -> None:
    path = write(tmp_path, "requirements.txt", FROZEN)
    refuse(path, "line 2", "numpy @ file:///croot/numpy_1680000000/work", "built", "--ignore-missing-paths")
    found = read(path, ignores_missing_paths=True)
    assert texts(found) == ["a==1", "numpy", 'scipy[x]==1.10.1 ; os_name == "posix"']
    assert [warning.split(": ", 1)[1].partition(":")[0] for warning in found.warnings] == [
        "numpy is taken, in any version",
        'scipy[x]==1.10.1 ; os_name == "posix" is taken',
    ]
    environment = write(tmp_path, "e.yml", "dependencies: [{pip: ['numpy @ file:///croot/numpy/work']}]\n")
    refuse(environment, "dependencies[0].pip[0]", "--ignore-missing-paths")
    assert texts(read(environment, ignores_missing_paths=True)) == ["numpy"]
