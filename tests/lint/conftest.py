"""What the lints of one module share is dropped after it: the trees of all modules take half a gigabyte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.syntax import nodes_of, tree_of


@pytest.fixture(autouse=True, scope="module")
def _trees() -> Iterator[None]:
    yield
    nodes_of.cache_clear()
    tree_of.cache_clear()
