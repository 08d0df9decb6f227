"""What a person should know about a conversion, by kind, so that a run over many wheels can say each kind once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SUMMARIES", "Note", "NoteKind"]

NoteKind = Literal[
    "incomplete", "extra", "kernel", "other-extra", "undeclared-extra", "requirement-form", "requires-python", "native",
    "glibc", "tags", "startup", "top-level", "entry-point", "script", "license", "attestation", "gui", "caution",
    "information", "dropped"
]  # fmt: skip

SUMMARIES: dict[NoteKind, str] = {
    "incomplete": "some platforms or pythons on which these wheels run have no package",
    "extra": "extras are left out, since no package can state them",
    "kernel": "markers depend on the kernel of one machine, and a newer one than any that they name is assumed",
    "other-extra": "requirements of extras of other projects are left out, since no index or only an sdist has them",
    "undeclared-extra": "extras are required that their projects do not have",
    "requirement-form": "requirements are not valid, and were read in the only way that makes sense",
    "requires-python": "Requires-Python cannot be read, and was ignored, as by pip",
    "native": "wheels tagged for any platform have native code",
    "glibc": "tags do not say which glibc is needed",
    "tags": "the tags in wheels differ from those in their file names, which were used",
    "startup": "python reads or runs files of these packages at every start",
    "top-level": "names at the top of site-packages may belong to other packages too",
    "entry-point": "commands that nothing can import are left out",
    "script": "scripts are left out, since entry points of the same names make the commands, as in pip",
    "license": "METADATA lists licence files that the wheel does not contain",
    "attestation": "attestations of wheels could not be read, so their packages have none",
    "gui": "graphical commands become console commands, the only kind that conda makes",
    "caution": "wheels are unusual",
}
"""Kind → what to say about several wheels, before their names. Notes of the other kinds are no warnings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One sentence about a package. `detail` names the thing in a few words, for lists."""

    kind: NoteKind
    text: str
    detail: str = ""

    @property
    def is_warning(self) -> bool:
        """Whether the note concerns the person who converts."""
        return self.kind in SUMMARIES
