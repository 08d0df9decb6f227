"""Indexes that can build what has no wheel, wired as `bridge.cli.session` wires them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge import index
from bridge.fetch.client import Client
from bridge.resolve.build_requirements import BuildRequirements

__all__ = ["Index"]


class Index(index.Index):
    """An index with bridge's resolver for the requirements of builds."""

    def __init__(self, client: Client, urls: Sequence[str], find_links: Sequence[str] = (), **options: Any) -> None:  # noqa: ANN401
        super().__init__(client, urls, find_links, solver=BuildRequirements, **options)
