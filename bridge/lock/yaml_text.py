"""YAML that parsers of YAML 1.1 and of 1.2 read alike."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["yaml_text"]

# Texts that some parser takes for a number or a word of its own: PyYAML leaves `1e3` and `0o7` bare.
_AMBIGUOUS = re.compile(
    r"[-+.]?[0-9][0-9_.:]*(?:[eE][-+]?[0-9]*)?\Z|0[xob][0-9a-fA-F_]+\Z|[-+]?\.(?:inf|nan)\Z|(?:y|n|yes|no|on|off|true|false|null|~)\Z",
    re.IGNORECASE,
)


class _Dumper(yaml.CSafeDumper if hasattr(yaml, "CSafeDumper") else yaml.SafeDumper):  # type: ignore[misc]
    """PyYAML's dumper, which quotes ambiguous texts and repeats a value instead of an anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's interface
        return True


def _text(dumper: Any, value: str) -> Any:  # noqa: ANN401 - PyYAML has no types
    style = "'" if _AMBIGUOUS.match(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(document: object) -> str:
    """Return a document as YAML: keys in their order, one entry on a line, non-ASCII as it is."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20))
