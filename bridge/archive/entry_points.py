"""Entry points that become commands: `name = module:attribute`, of a wheel or a noarch conda package.

The name becomes a file in `bin`, module and attribute become code, so all three must have a stricter form than the
specification requires (CVE-2026-8643, CVE-2026-47425; W65, W66, CA22).
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bridge.archive.refusal import refused, shown

__all__ = ["EntryPoint", "commands", "parse_entry_point", "read_entry_points"]

_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")

_NAME = re.compile(r"[\w+][\w.+ -]*\Z")
_EXTRAS = re.compile(r"\s*\[[\w\s,.-]*\]\Z")
_LONGEST_NAME = 200  # characters; a file name has at most 255 bytes
_LONGEST_TEXT = 1024
_LINE_BREAKS = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """One command, without extras. `group` is `console_scripts` or `gui_scripts`; `attribute` may be dotted."""

    group: str
    name: str
    module: str
    attribute: str

    @property
    def is_importable(self) -> bool:
        """Whether python can import it: no part is a keyword. conda refuses to link such commands (conda#16340)."""
        return not any(map(keyword.iskeyword, (*self.module.split("."), *self.attribute.split("."))))


def parse_entry_point(text: str, group: str, archive: str, source: str) -> EntryPoint:
    """Parse `name = module:attribute [extras]` of the member `source`. Raises `UnsafeInputError` (`entry-point`)."""
    name, separator, value = (part.strip() for part in text[:_LONGEST_TEXT].partition("="))
    if not separator or len(text) > _LONGEST_TEXT:
        raise refused("entry-point", archive, f"not NAME = MODULE:ATTRIBUTE: {shown(text)}", member=source)
    if not _NAME.match(name) or len(name) > _LONGEST_NAME:
        raise refused("entry-point", archive, f"invalid command name {shown(name)!r}", member=source)
    module, separator, attribute = _EXTRAS.sub("", value).partition(":")
    module, attribute = module.strip(), attribute.strip()
    if not separator or not _is_dotted(module) or not _is_dotted(attribute):
        problem = f"the command {name} should be MODULE:ATTRIBUTE, not {shown(value)}"
        raise refused("entry-point", archive, problem, member=source)
    return EntryPoint(group=group, name=name, module=module, attribute=attribute)


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def read_entry_points(data: bytes, archive: str, source: str) -> tuple[EntryPoint, ...]:
    """The lines of an entry_points.txt that define commands, in order.

    Continuation lines, which only some readers join, are refused. Names keep their case. Raises `UnsafeInputError`
    (`entry-point`).
    """
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise refused("entry-point", archive, "not UTF-8", member=source, offset=error.start) from error
    if _LINE_BREAKS.search(text):
        problem = "a control character that some readers treat as a line break"
        raise refused("entry-point", archive, problem, member=source)
    group = ""
    indent = 0
    points: list[EntryPoint] = []
    for line in text.split("\n"):
        content = line.strip()
        if not content or content.startswith(("#", ";")):
            continue
        if content.startswith("[") and content.endswith("]"):
            group, indent = content[1:-1].strip(), len(line)
        elif group in _SCRIPT_GROUPS:
            depth = len(line) - len(line.lstrip())
            if depth > indent:
                raise refused("entry-point", archive, f"a line that continues another: {shown(content)}", member=source)
            indent = depth
            points.append(parse_entry_point(content, group, archive, source))
    return tuple(points)


def commands(points: Iterable[EntryPoint]) -> tuple[EntryPoint, ...]:
    """Return what defines each command: of several lines in a group the last, as in pip; of both groups the first."""
    made: dict[str, EntryPoint] = {}
    for point in points:
        if made.setdefault(point.name, point).group == point.group:
            made[point.name] = point
    return tuple(made.values())
