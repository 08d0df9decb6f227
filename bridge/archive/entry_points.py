"""Entry points that become commands: `name = module:attribute`, of a wheel or a noarch conda package.

The name becomes a file in `bin`, module and attribute become code, so all three must have a stricter form than the
specification requires (CVE-2026-8643, CVE-2026-47425; W65, W66, CA22).
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from bridge.archive.refusal import refused, shown
from converters.deferred import dataclass, regex

__all__ = ["EntryPoint", "commands", "parse_entry_point", "read_entry_points"]

_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")

_NAME = regex(r"[\w+][\w.+ @,-]*\Z")
_EXTRAS = regex(r"\s*\[[\w\s,.-]*\]\Z")
_TAIL = regex(r"\(\)\Z|\s+[#;].*\Z", re.DOTALL)  # pip reads MODULE:ATTRIBUTE, and nothing after it
_WORDS = regex(r"\w+(\.\w+)*\Z")
_LONGEST_NAME = 200  # characters; a file name has at most 255 bytes
_LONGEST_TEXT = 1024
_LINE_BREAKS = regex("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """One command, without extras. `group` is `console_scripts` or `gui_scripts`; `attribute` may be dotted.

    `ignored`: what follows MODULE:ATTRIBUTE in a wheel and means nothing: a comment, or `()`.
    """

    group: str
    name: str
    module: str
    attribute: str
    ignored: str = ""

    @property
    def is_importable(self) -> bool:
        """Whether python can import it. conda refuses to link a command with a keyword (conda#16340)."""
        parts = (*self.module.split("."), *self.attribute.split("."))
        return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


def parse_entry_point(text: str, group: str, archive: str, source: str, *, is_of_wheel: bool = False) -> EntryPoint:
    """Parse `name = module:attribute [extras]` of the member `source`.

    :param is_of_wheel: accept, as pip does, a comment or `()` at the end, and names that are no identifiers (`1f`).

    Raises `UnsafeInputError` (`entry-point`).
    """
    name, separator, value = (part.strip() for part in text[:_LONGEST_TEXT].partition("="))
    if not separator or len(text) > _LONGEST_TEXT:
        raise refused("entry-point", archive, f"not NAME = MODULE:ATTRIBUTE: {shown(text)}", member=source)
    if not _NAME.match(name) or len(name) > _LONGEST_NAME:
        problem = f"invalid command name {shown(name)!r}, which a path, a shell or conda could read as something else"
        raise refused("entry-point", archive, problem, member=source)
    tail = _TAIL.search(value) if is_of_wheel else None
    module, separator, attribute = _EXTRAS.sub("", value[: tail.start()] if tail else value).partition(":")
    module, attribute = module.strip(), attribute.strip()
    is_dotted = _WORDS.match if is_of_wheel else _is_dotted
    if not separator or not is_dotted(module) or not is_dotted(attribute):
        problem = f"the command {name} should be MODULE:ATTRIBUTE, not {shown(value)}, which could become other code"
        raise refused("entry-point", archive, problem, member=source)
    return EntryPoint(
        group=group, name=name, module=module, attribute=attribute, ignored=tail[0].strip() if tail else ""
    )


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def read_entry_points(data: bytes, archive: str, source: str) -> tuple[EntryPoint, ...]:
    """The lines of a wheel's entry_points.txt that define commands, in order.

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
                problem = f"a line that continues another only for some readers: {shown(content)}"
                raise refused("entry-point", archive, problem, member=source)
            indent = depth
            points.append(parse_entry_point(content, group, archive, source, is_of_wheel=True))
    return tuple(points)


def commands(points: Iterable[EntryPoint]) -> tuple[EntryPoint, ...]:
    """Return what defines each command: of several lines the last, and of both groups `gui_scripts`, as in pip."""
    made: dict[str, EntryPoint] = {}
    for point in points:
        if made.setdefault(point.name, point).group <= point.group:
            made[point.name] = point
    return tuple(made.values())
