"""Licences judged by lists of SPDX identifiers."""

from __future__ import annotations

import pytest

from bridge.config.licenses import LicenseRules

_PERMISSIVE = LicenseRules(allow=("MIT", "BSD-*", "Apache-2.0"))
_NO_AGPL = LicenseRules(deny=("AGPL-*", "gpl-3.0-only"))


@pytest.mark.parametrize(
    ("rules", "stated", "problem"),
    [
        (_PERMISSIVE, "MIT", None),
        (_PERMISSIVE, "mit", None),
        (_PERMISSIVE, "MIT License", None),
        (_PERMISSIVE, "bsd-3-clause", None),
        (_PERMISSIVE, "MIT OR GPL-3.0-only", None),
        (_PERMISSIVE, "MIT AND GPL-3.0-only", "its licence MIT AND GPL-3.0-only is not allowed"),
        (_PERMISSIVE, "MIT AND (GPL-3.0-only OR Apache-2.0)", None),
        (_PERMISSIVE, "GPL-3.0-only OR MIT AND BSD-3-Clause", None),
        (_PERMISSIVE, "Apache-2.0 WITH LLVM-exception", None),
        (_PERMISSIVE, "LicenseRef-IntelSimplifiedSoftwareOct2022", "not allowed"),
        (_PERMISSIVE, "Proprietary, ask us", "its licence Proprietary, ask us is not allowed"),
        (_PERMISSIVE, None, "it states no licence"),
        (_PERMISSIVE, "UNKNOWN", "it states no licence"),
        (_NO_AGPL, None, None),
        (_NO_AGPL, "Proprietary", None),
        (_NO_AGPL, "AGPL-3.0-or-later", "is denied (AGPL-3.0-or-later)"),
        (_NO_AGPL, "MIT OR AGPL-3.0-only", None),
        (_NO_AGPL, "GPL-3.0-only WITH GCC-exception-3.1", "is denied"),
        (LicenseRules(allow=("GPL-*",), deny=("GPL-3.0-only",)), "GPL-3.0-only", "is denied"),
        (LicenseRules(allow=("MIT",), allows_unknown=True), None, None),
        (LicenseRules(deny=("MIT",), allows_unknown=False), "", "it states no licence"),
        (_PERMISSIVE, "MIT AND (", "not allowed"),
        (_PERMISSIVE, "(" * 80 + "MIT" + ")" * 80, "not allowed"),
    ],
)
def test_a_licence_is_judged_by_its_expression(rules: LicenseRules, stated: str | None, problem: str | None) -> None:
    found = rules.problem(stated)
    assert (found is None) if problem is None else (found is not None and problem in found)
