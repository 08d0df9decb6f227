"""One self-contained page of an environment: the verdict, the findings by package, the graph, each package and path.

Its text is whole without scripts; its data are JSON for the graph and the search of paths, and its content security
policy allows no network access. The graph is laid out by dagre (MIT), which the page contains.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from importlib import resources

from bridge.audit.report.facts import Facts
from bridge.audit.report.sections import findings_part, footer_part, header_part, packages_part, title_of
from bridge.secrets import masked

__all__ = ["page"]

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(facts: Facts, when: datetime) -> bytes:
    """The page, UTF-8. No text of a package is interpreted as markup."""
    folder = resources.files("bridge") / "data" / "page"
    text = masked(json.dumps(_document(facts), ensure_ascii=True, separators=(",", ":")))
    parts = {
        "title": title_of(facts),
        "header": header_part(facts, when),
        "findings": findings_part(facts),
        "packages": packages_part(facts),
        "footer": footer_part(),
        # In a script element only `</` and `<!--` could end the data.
        "data": text.replace("<", "\\u003c"),
        "css": (folder / "page.css").read_text("utf-8"),
        "dagre": (folder / "dagre" / "dagre.min.js").read_text("utf-8"),
        "js": (folder / "page.js").read_text("utf-8"),
    }
    template = (folder / "page.html").read_text("utf-8")
    return _PLACE.sub(lambda match: parts[match[1]], template).encode("utf-8", "backslashreplace")


def _document(facts: Facts) -> dict[str, object]:
    number = {row.owner: index for index, row in enumerate(facts.rows)}
    worst: dict[str | None, str] = {}
    for finding in facts.report.findings:  # worst first
        worst.setdefault(finding.owner, finding.level)
    return {
        "packages": [
            {
                "name": row.name,
                "version": row.version,
                "build": row.build,
                "source": row.source,
                "origin": row.origin or row.installer,
                "url": row.url,
                "sha256": row.sha256,
                "license": row.license,
                "projects": [f"{each.name} {each.version}" for each in row.distributions],
                "requested": list(row.requested) or (["yes"] if row.is_requested else []),
                "worst": worst.get(row.owner),
                "files": _directories(facts.paths.get(row.owner, ())),
            }
            for row in facts.rows
        ],
        "dependencies": [
            [number[each.dependant], number[each.dependency], each.text]
            for each in facts.dependencies
            if each.dependant in number and each.dependency in number
        ],
    }


def _directories(paths: Sequence[str]) -> dict[str, list[str]]:
    """Paths by directory, which takes half the space of a list."""
    grouped: dict[str, list[str]] = {}
    for path in paths:
        directory, _, name = path.rpartition("/")
        grouped.setdefault(directory, []).append(name)
    return grouped
