"""One self-contained page of an environment: its packages, their graph, the findings, each path.

The page contains its data as JSON, and its content security policy allows no network access.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

from bridge.audit.report.facts import Facts
from bridge.audit.report.graph import positions
from bridge.secrets import masked

__all__ = ["page"]


def page(facts: Facts) -> bytes:
    """The page, UTF-8. No text of a package is interpreted as markup."""
    template = (resources.files("bridge") / "data" / "report.html").read_text("utf-8")
    text = masked(json.dumps(_document(facts), ensure_ascii=True, separators=(",", ":")))
    # In a script element only `</` and `<!--` could end the data.
    return template.replace("{{data}}", text.replace("<", "\\u003c")).encode("utf-8")


def _document(facts: Facts) -> dict[str, object]:
    number = {row.owner: index for index, row in enumerate(facts.rows)}
    arrows = [(each.dependant, each.dependency) for each in facts.dependencies]
    places = positions([row.owner for row in facts.rows], arrows)
    return {
        "prefix": str(facts.report.prefix),
        "platform": facts.platform,
        "python": facts.python,
        "summary": facts.report.to_json()["summary"],
        "packages": [
            {
                **{
                    key: value
                    for key, value in row.to_json().items()
                    if key not in {"distributions", "requested_specs"}
                },
                "origin": row.origin,
                "distributions": [f"{each.name} {each.version}" for each in row.distributions],
                "applicable_requirements": list(row.requested),
                "at": places[row.owner],
                "files": _directories(facts.paths.get(row.owner, ())),
            }
            for row in facts.rows
        ],
        "dependencies": [
            [number[each.dependant], number[each.dependency], each.text]
            for each in facts.dependencies
            if each.dependant in number and each.dependency in number
        ],
        "findings": [finding.to_json() for finding in facts.report.findings],
    }


def _directories(paths: Sequence[str]) -> dict[str, list[str]]:
    """Paths by directory, which takes half the space of a list."""
    grouped: dict[str, list[str]] = {}
    for path in paths:
        directory, _, name = path.rpartition("/")
        grouped.setdefault(directory, []).append(name)
    return grouped
