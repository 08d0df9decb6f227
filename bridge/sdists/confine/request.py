"""What the parent asks of the sandbox, as JSON on its standard input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["HAS_REQUIREMENTS", "MECHANISMS", "NOT_CONFINED", "SandboxRequest"]

# Exit statuses: the backend asks for requirements, which stand in `answer`; a mechanism to be used does not work.
HAS_REQUIREMENTS, NOT_CONFINED = 96, 97

NAMESPACES, LANDLOCK, SECCOMP, SUBREAPER = "namespaces", "landlock", "seccomp", "subreaper"
MECHANISMS = (NAMESPACES, LANDLOCK, SECCOMP, SUBREAPER)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """One use of the sandbox.

    :param mechanisms: those to use; each must work.
    :param writable: the folder that the code may change.
    :param hidden: paths that it may not read; :param kept: paths that it must be able to read.
    :param source: the tree to build, :param environment: the folder for its virtual environment, :param wheels: what
        to install there, :param output: where the wheel goes; all but the wheels below `writable`.
    :param asks: whether to ask the backend for further requirements first; if it has any, they are written to
        `answer`, and nothing is built.
    :param path: where pypa/build can be imported from.
    """

    mechanisms: tuple[str, ...]
    writable: str
    parent: int
    hidden: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    network: bool = False
    source: str = ""
    environment: str = ""
    wheels: tuple[str, ...] = ()
    output: str = ""
    asks: bool = True
    answer: str = ""
    path: tuple[str, ...] = field(default=())

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> SandboxRequest:
        loaded: dict[str, Any] = json.loads(text)
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in loaded.items()}
        return cls(**fields)
