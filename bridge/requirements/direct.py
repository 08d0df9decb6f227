"""Requirements that name a URL or a path, which PEP 610 calls direct. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from packaging import requirements as pep508

from bridge.requirements.algebra import split_binding
from bridge.sdists.location import source_of

__all__ = ["is_direct"]


def is_direct(url: str, requested: Iterable[str]) -> bool:
    """Whether a package comes from a URL or path that a requirement names.

    :param url: of its archive or source code.
    :param requested: the requirements that ask for it, as they were written.
    """
    if source_of(url) is not None:
        return True
    for text in requested:
        bare = split_binding(text.strip())[1]
        if bare.startswith(("./", "../", "/", "~", "file:", "http:", "https:")) or bare.endswith(".whl"):
            return True
        with suppress(pep508.InvalidRequirement):
            if "@" in bare and pep508.Requirement(bare).url:
                return True
    return False
