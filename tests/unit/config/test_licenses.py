"""Rules on licences: what they permit, and what they say of what they do not."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.licenses import LicenseRules

Tree: TypeAlias = "str | tuple[Tree, bool, Tree]"

PERMITTED = [
    ("MIT", ["MIT"], []),
    ("mit", ["MIT"], []),
    ("MIT License", ["MIT"], []),
    ("MIT OR GPL-3.0-only", ["MIT"], []),
    ("MIT OR GPL-3.0-only", [], ["GPL-*"]),
    ("MIT AND (GPL-3.0-only OR BSD-3-Clause)", ["MIT", "BSD-*"], []),
    ("GPL-3.0-only WITH GCC-exception-3.1", [], ["GPL-*"]),
    ("GPL-3.0-only WITH GCC-exception-3.1", ["GPL-3.0-only"], []),
    ("GPL-3.0-only WITH GCC-exception-3.1", ["GPL-3.0-only WITH GCC-exception-3.1"], []),
    ("GPL-2.0", ["GPL-2.0-only"], []),
    ("GPL-2.0-only", ["GPL-2.0"], []),
    ("GPL-2.0+", ["GPL-2.0-or-later"], []),
    ("GPL-2.0-or-later", ["GPL-2.0-only"], []),
    ("GPL-2.0-or-later", [], ["GPL-3.0-only"]),
    ("Apache-2.0+", ["Apache-2.0"], []),
    ("Proprietary", ["Propri*"], []),
    ("LicenseRef-Acme", ["LicenseRef-Acme"], []),
    ("LicenseRef-Acme", [], ["MIT"]),
    ("MIT License, BSD License", ["MIT", "BSD*"], []),
    (None, [], ["GPL-*"]),
    (None, ["MIT", "NOASSERTION"], []),
]
FORBIDDEN = [
    ("GPL-3.0-only", ["MIT"], [], "GPL-3.0-only is not among the allowed licences"),
    ("GPL-3.0", [], ["GPL-*"], "GPL-3.0 is denied"),
    ("MIT AND GPL-3.0-only", ["MIT"], [], "GPL-3.0-only is not among the allowed licences"),
    ("MIT AND GPL-3.0-only", [], ["GPL-3.0-only"], "GPL-3.0-only is denied"),
    ("(MIT OR BSD-3-Clause) AND AGPL-3.0-only", [], ["AGPL-*"], "AGPL-3.0-only is denied"),
    ("GPL-2.0-only OR GPL-3.0-only", [], ["GPL-*"], "GPL-2.0-only and GPL-3.0-only are denied"),
    ("MIT OR Apache-2.0 AND GPL-2.0-only", ["Apache-2.0"], [], "MIT and GPL-2.0-only are not among the allowed"),
    ("GPL-3.0-only WITH GCC-exception-3.1", [], ["GPL-* WITH *"], "GPL-3.0-only WITH GCC-exception-3.1 is denied"),
    ("GPL-2.0-only", ["GPL-2.0-only WITH Classpath-exception-2.0"], [], "GPL-2.0-only is not among"),
    ("MIT", ["MIT"], ["MIT"], "MIT is denied"),
    ("Apache-2.0+", [], ["Apache-2.0"], "Apache-2.0+ is denied"),
    ("Proprietary", ["MIT"], [], "Proprietary is not among the allowed licences"),
    ("MIT License, GPL", ["MIT"], [], "GPL is not among the allowed licences"),
    (None, ["MIT"], [], "no licence is stated"),
    (None, [], ["NOASSERTION"], "no licence is stated"),
]


@pytest.mark.parametrize(("stated", "allow", "deny"), PERMITTED)
def test_permitted(stated: str | None, allow: list[str], deny: list[str]) -> None:
    assert LicenseRules(allow=tuple(allow), deny=tuple(deny)).problem(stated) is None


@pytest.mark.parametrize(("stated", "allow", "deny", "said"), FORBIDDEN)
def test_forbidden(stated: str | None, allow: list[str], deny: list[str], said: str) -> None:
    assert (LicenseRules(allow=tuple(allow), deny=tuple(deny)).problem(stated) or "").startswith(said)


@pytest.mark.parametrize("rule", ["GPL-3.0-olny", "Proprietary", "", "MIT OR BSD-3-Clause", "MIT,BSD-3-Clause"])
def test_a_rule_that_would_match_nothing_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match="not an SPDX licence"):
        LicenseRules(deny=(rule,))


@given(st.recursive(st.sampled_from(["MIT", "GPL-2.0-only"]), lambda inner: st.tuples(inner, st.booleans(), inner)))
def test_an_expression_is_judged_as_logic_does(tree: Tree) -> None:
    def text(node: Tree) -> str:
        return node if isinstance(node, str) else f"({text(node[0])} {'AND' if node[1] else 'OR'} {text(node[2])})"

    def holds(node: Tree) -> bool:
        if isinstance(node, str):
            return node == "MIT"
        return (all if node[1] else any)((holds(node[0]), holds(node[2])))

    assert (LicenseRules(allow=("MIT",)).problem(text(tree)) is None) == holds(tree)
