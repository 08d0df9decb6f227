"""Declarations of namespace packages, and what only looks like one."""

from __future__ import annotations

import pytest

from converters.namespaces import is_namespace_declaration

PKGUTIL = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
RESOURCES = """\
# See http://peak.telecommunity.com/DevCenter/setuptools#namespace-packages
try:
    __import__('pkg_resources').declare_namespace(__name__)
except ImportError:
    from pkgutil import extend_path
    __path__ = extend_path(__path__, __name__)
"""


@pytest.mark.parametrize(
    "text",
    [
        PKGUTIL,
        RESOURCES,
        f'"""A namespace."""\n{PKGUTIL}',
        "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)  # type: ignore\n",
        "import pkg_resources\npkg_resources.declare_namespace(__name__)\n",
    ],
)
def test_declarations(text: str) -> None:
    assert is_namespace_declaration("ns/__init__.py", text.encode())
    assert not is_namespace_declaration("ns/other.py", text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1\n",
        f"{PKGUTIL}__version__ = '1.0'\n",
        f"{PKGUTIL}import os\n",
        f"from .parts import *\n{PKGUTIL}",
        "__path__ = extend_path(evil(), __name__)\n",
        f"{PKGUTIL}def f(:\n",
        PKGUTIL + "#" * 1024,
    ],
)
def test_files_that_do_more_or_less(text: str) -> None:
    assert not is_namespace_declaration("ns/__init__.py", text.encode())
