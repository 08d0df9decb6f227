"""The request to the sandbox, as JSON on its standard input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["HAS_REQUIREMENTS", "MECHANISMS", "NOT_CONFINED", "NO_HOOK", "Action", "SandboxRequest"]

# Exit statuses: the backend wrote further requirements to `answer`; a mechanism failed; the backend lacks the hook.
HAS_REQUIREMENTS, NOT_CONFINED, NO_HOOK = 96, 97, 98

Action = Literal["wheel", "editable", "metadata", "editable-metadata"]

NAMESPACES, LANDLOCK, SECCOMP, SUBREAPER = "namespaces", "landlock", "seccomp", "subreaper"
MECHANISMS = (NAMESPACES, LANDLOCK, SECCOMP, SUBREAPER)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """One use of the sandbox. All paths of the build except `wheels` are below `writable`.

    :param mechanisms: those to use; each must work.
    :param writable: the directory that the code may change.
    :param project: a further directory that the code may change, if any: that of an editable project.
    :param hidden: paths that it may not read; `kept`: paths that it must be able to read.
    :param action: what to make of `source`, in `output`.
    :param source: the tree to build; `environment`: its virtual environment; `wheels`: to install there.
    :param asks: first ask the backend for requirements; if it has any, write them to `answer` and do not build.
    :param path: sys.path entries for pypa/build.
    :param arguments: the words of a program that is run instead of a build.
    """

    mechanisms: tuple[str, ...]
    writable: str
    parent: int
    action: Action = "wheel"
    project: str = ""
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
    arguments: tuple[str, ...] = ()

    @property
    def all_writable(self) -> list[str]:
        return [self.writable, self.project] if self.project else [self.writable]

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> SandboxRequest:
        loaded: dict[str, Any] = json.loads(text)
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in loaded.items()}
        return cls(**fields)
