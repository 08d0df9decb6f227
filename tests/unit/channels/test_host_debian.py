"""Debian's changes to the standard library are undone, in the shapes in which they come; the texts are made up."""

from __future__ import annotations

import sys
import types

import pytest

from bridge.channels.host import debian
from bridge.errors import UsageError

BOOKWORM_SITE = '''
"""Debian addons are in /usr/lib/python3/dist-packages."""
import os, sys
PREFIXES = ["/p"]

def getsitepackages(prefixes=None):
    in_venv = sys.base_prefix != sys.prefix or hasattr(sys, "real_prefix")
    found = []
    for prefix in PREFIXES if prefixes is None else prefixes:
        if in_venv:
            found.append(os.path.join(prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages"))
        found.append(os.path.join(prefix, "lib", "python3", "dist-packages"))
    return found

AFTER = "é dist"
'''
NOBLE_SITE = """
import os, sys
PREFIXES = ["/p"]

def getsitepackages(prefixes=None):
    found = []
    for prefix in PREFIXES if prefixes is None else prefixes:
        for folder in ("lib",):
            if 'VIRTUAL_ENV' in os.environ:
                found.append(os.path.join(prefix, folder, "site-packages"))
            found.append(os.path.join(prefix, f"local/{folder}", "dist-packages"))
    return found
"""
SYSCONFIG = """
import os, sys
_INSTALL_SCHEMES = {
    'posix_prefix': {'purelib': '{base}/lib/site-packages'},
    'deb_system': {
        'purelib': '{base}/lib/python3/dist-packages',
        },
    'posix_local': {
        'purelib': '{base}/local/lib/dist-packages',
        },
    'posix_home': {'purelib': '{base}/lib/python'},
    }
if "setup" in os.environ:
    for scheme in ('posix_prefix', 'posix_local', 'deb_system'):
        _INSTALL_SCHEMES[scheme]['headers'] = 1

def _get_preferred_schemes():
    if sys.prefix != sys.base_prefix:
        return {'prefix': 'posix_prefix'}
    layout = os.environ.get('DEB_PYTHON_INSTALL_LAYOUT', 'posix_local')
    if layout in ('deb', 'deb_system'):
        return {'prefix': 'deb_system'}
    return {'prefix': 'posix_local'}
"""
SYSCONFIG_AT_THE_END = """
_INSTALL_SCHEMES = {
    'posix_prefix': {'purelib': '{base}/lib/site-packages'},
    'posix_home': {'purelib': '{base}/lib/python'},
    'posix_local': {'purelib': '{base}/local/lib/dist-packages'}}

def _get_preferred_schemes():
    return {'prefix': 'posix_local'}
"""


@pytest.mark.parametrize("source", [BOOKWORM_SITE, NOBLE_SITE])
def test_site_looks_in_site_packages_again(source: str) -> None:
    found: dict[str, object] = {}
    exec(debian.undo("site.py", source.encode()), found)
    expected = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags}/site-packages"
    function = found["getsitepackages"]
    assert isinstance(function, types.FunctionType)
    assert function() == [f"/p/{expected}"]
    assert function(["/q", "", "/r", "/q"]) == [f"/q/{expected}", f"/r/{expected}"]
    assert found.get("AFTER", "é dist") == "é dist"


@pytest.mark.parametrize("module", ["sysconfig.py", "sysconfig/__init__.py"])
@pytest.mark.parametrize("source", [SYSCONFIG, SYSCONFIG_AT_THE_END])
def test_sysconfig_installs_to_site_packages_again(module: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("setup", "1")
    found: dict[str, object] = {}
    exec(debian.undo(module, source.encode()), found)
    function, schemes = found["_get_preferred_schemes"], found["_INSTALL_SCHEMES"]
    assert isinstance(function, types.FunctionType)
    assert isinstance(schemes, dict)
    assert function()["prefix"] == "posix_prefix"
    assert sorted(schemes) == ["posix_home", "posix_prefix"]


@pytest.mark.parametrize(
    "condition",
    [
        "is_default_prefix and not is_virtual_environment()",
        "(is_default_prefix and\n        'VIRTUAL_ENV' not in os.environ and\n        sys.prefix == sys.base_prefix)",
    ],
)
def test_distutils_finds_site_packages_again(condition: str) -> None:
    source = f"""
import os, sys
def get_python_lib(standard_lib=False):
    if os.name == "posix":
        if standard_lib:
            return "lib"
        elif {condition}:
            return os.path.join("lib", "python3", "dist-packages")
        else:
            return "site-packages"
"""
    found: dict[str, object] = {}
    exec(debian.undo("distutils/sysconfig.py", source.encode()), found)
    function = found["get_python_lib"]
    assert isinstance(function, types.FunctionType)
    assert (function(), function(standard_lib=True)) == ("site-packages", "lib")


def test_distutils_installs_to_site_packages_again() -> None:
    source = b"""
SCHEMES = {'unix_prefix': 1, 'unix_local': {'purelib': 'dist-packages'}}
SCHEMES['deb_system'] = {
    'purelib': 'dist-packages',
}
def choose(select_scheme, layout=None):
    if layout == 'deb':
        select_scheme("deb_system")
    else:
        select_scheme("unix_local")
"""
    found: dict[str, object] = {}
    exec(debian.undo("distutils/command/install.py", source), found)
    chosen: list[str] = []
    function = found["choose"]
    assert isinstance(function, types.FunctionType)
    function(chosen.append)
    assert chosen == ["unix_prefix"]
    assert found["SCHEMES"] == {"unix_prefix": 1}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("site.py", "def addsitepackages(): return 'lib/dist-packages'"),
        ("site.py", BOOKWORM_SITE + "\ndef other(): return 'lib/dist-packages'\n"),
        ("site.py", "def getsitepackages(:  # dist-packages"),
        ("sysconfig.py", "_INSTALL_SCHEMES = {'new_scheme': 'dist-packages'}\ndef _get_preferred_schemes(): pass"),
        ("distutils/command/install.py", "where = 'dist-packages'"),
    ],
)
def test_changes_that_are_not_known_are_refused(module: str, source: str) -> None:
    with pytest.raises(UsageError) as caught:
        debian.undo(module, source.encode())
    assert caught.value.id == "host-layout"
    assert module.partition("/")[0].removesuffix(".py") in caught.value.message


def test_upstream_text_stays_as_it_is() -> None:
    for module in debian.CHANGED:
        source = b"def getsitepackages():\n    return 'site-packages'\n"
        assert debian.undo(module, source) is source


def test_the_frozen_copy_is_written_over_in_place() -> None:
    binary = b"\x00\x0ddist-packages\x00 and lib/python3/dist-packages.\x00"
    patches = debian.undo_frozen(binary)
    assert [offset for offset, _ in patches] == [2, 33]
    assert {len(new) for _, new in patches} == {len(b"dist-packages")}
    assert debian.undo_frozen(b"site-packages") == ()
