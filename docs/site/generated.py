"""The pages that are made from the code: commands, exit codes, JSON documents, the API, decisions, changes."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from bridge import errors
from bridge.cli.declaring import COMMANDS, document_of
from bridge.cli.group import cli, declared
from bridge.cli.help import examples_of, sections
from bridge.cli.summaries import SUMMARIES

__all__ = ["pages"]

_KINDS = {"feature": "New", "bugfix": "Mended", "doc": "Documentation", "removal": "Removed", "misc": "Other"}


def pages(root: Path) -> dict[str, str]:
    """Path in the site → Markdown."""
    made = {f"reference/commands/{name}.md": _command(name, declared(name)) for name in COMMANDS}
    made["reference/commands/index.md"] = _commands()
    made["reference/exit-codes.md"] = _exit_codes()
    schemas = sorted((root / "bridge" / "schemas").glob("*.json"))
    documents = {path.stem: json.loads(path.read_text("utf-8")) for path in schemas}
    made |= {f"reference/json/{name}.md": _document(name, schema) for name, schema in documents.items()}
    made["reference/json/index.md"] = _documents(documents)
    made["reference/api.md"] = _api()
    made["decisions/index.md"] = _decisions(root / "docs" / "decisions")
    made["changelog.md"] = _changes(root)
    return made


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, parent=click.Context(cli, info_name="bridge"))
    text = "\n\n".join(_usage(command, context, "#"))
    document = document_of(name)
    if name != "schema":
        text += f"\n\nWith `--json` the output is [this document](../json/{document}.md)."
    return text + "\n"


def _usage(command: click.Command, context: click.Context, level: str) -> Iterator[str]:
    yield f"{level} {context.command_path}"
    yield inspect.cleandoc(command.help or "").replace("\b\n", "")
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    if examples := examples_of(context):
        yield "\n".join(["```sh", *examples, "```"])
    for section, options in sections(command, context):
        rows = [_option(option, context) for option in options if isinstance(option, click.Option)]
        yield "\n".join([f"| {section} | |", "|---|---|", *rows])
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            inner = command.get_command(context, part)
            if inner is not None:
                yield from _usage(inner, click.Context(inner, info_name=part, parent=context), f"{level}#")
    elif codes := _codes(command):
        yield f"Exit codes beside 0 and 2: {codes} ([all](../exit-codes.md))."


def _option(option: click.Option, context: click.Context) -> str:
    words = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
    again = " Repeatable." if option.multiple and "epeat" not in (option.help or "") else ""
    return f"| `{(words + value).replace('|', chr(92) + '|')}` | {_cell(option.help or '')}{again} |"


def _codes(command: click.Command) -> str:
    """The codes that follow from what a command can do, which its options show."""
    names = {name for option in command.params for name in option.opts}
    found: list[int] = []
    for option, codes in (("--lock-timeout", (4, 7, 8, 9)), ("--patience", (6,)), ("--offline", (3, 5, 10))):
        found += codes if option in names else ()
    found += [11] if "--fail-on" in names else []
    return ", ".join(str(code) for code in sorted(found))


def _commands() -> str:
    parts = ["# Commands", inspect.cleandoc(cli.help or "")]
    for heading, summaries in SUMMARIES.items():
        rows = [f"| [`bridge {name}`]({name}.md) | {_cell(text)} |" for name, text in summaries.items()]
        parts.append("\n".join([f"| {heading} | |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _exit_codes() -> str:
    classes = [getattr(errors, name) for name in errors.__all__ if "exit_code" in vars(getattr(errors, name))]
    classes = [one for one in classes if one is not errors.BridgeError]
    rows = [
        f"| {one.exit_code} | {_cell(inspect.getdoc(one) or '')} | `{one.__name__}` |"
        for one in sorted(classes, key=lambda one: (one.exit_code, one.__name__))
    ]
    head = [
        "# Exit codes",
        "",
        "A command that fails prints one `error[id]: …` line; the code says of which kind it is.",
        "",
    ]
    table = ["| code | meaning | class |", "|---|---|---|", "| 0 | Done. | |"]
    tail = ["", "`bridge run` ends with the code of the command that it ran."]
    return "\n".join([*head, *table, *rows, *tail]) + "\n"


def _documents(documents: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [f"| [{name}]({name}.md) | `{schema.get('title', name)}` |" for name, schema in documents.items()]
    head = ["# JSON output", "", "`bridge schema COMMAND` prints these schemas (JSON Schema 2020-12).", ""]
    return "\n".join([*head, "| document | of |", "|---|---|", *rows]) + "\n"


def _document(name: str, schema: Mapping[str, Any]) -> str:
    parts = [f"# {name}", f"`{schema.get('title', name)}`: {_type(schema)}"]
    parts += _properties(schema)
    for title, inner in schema.get("$defs", {}).items():
        parts += [f"## {title}", str(inner.get("description", "")) or _type(inner), *_properties(inner)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _properties(schema: Mapping[str, Any]) -> list[str]:
    if not schema.get("properties"):
        return []
    return ["\n".join(["| key | type | meaning |", "|---|---|---|", *_rows(schema, "")])]


def _rows(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """A row for each key of an object, also of those of objects within it, which have no name."""
    required = set(schema.get("required", ()))
    for name, value in schema.get("properties", {}).items():
        optional = "" if name in required else " (optional)"
        described = value if isinstance(value, dict) else {}
        yield f"| `{prefix}{name}`{optional} | {_type(value)} | {_cell(described.get('description', ''))} |"
        yield from _rows(described, f"{prefix}{name}.")
        if isinstance(described.get("items"), dict):
            yield from _rows(described["items"], f"{prefix}{name}[].")


def _type(schema: object) -> str:
    """The type of a value in words; a definition of the same document is a link."""
    if not isinstance(schema, dict):
        return "any"
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})" if schema["$ref"].startswith("#/$defs/") else f"`{schema['$ref']}`"
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(part) for part in schema[key]))
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    kinds = schema.get("type", "any")
    if kinds == "array":
        return f"array of {_type(schema.get('items'))}"
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _api() -> str:
    module = importlib.import_module("bridge.api")
    parts = ["# Python API", inspect.cleandoc(module.__doc__ or "")]
    for name in module.__all__:
        parts += _member(name, getattr(module, name))
    return "\n\n".join(parts) + "\n"


def _member(name: str, value: object, level: str = "##") -> Iterator[str]:
    yield f"{level} {name}"
    if not callable(value):
        yield f"```python\n{name} = {value!r}\n```"
        return
    try:
        signature = str(inspect.signature(value))
    except (TypeError, ValueError):
        signature = "(…)"
    # Annotations are texts (PEP 563).
    signature = re.sub(r"""(: |-> )(["'])(.*?)\2(?=[,)=\s]|$)""", r"\1\3", signature)
    yield f"```python\n{name}{signature}\n```"
    documentation = inspect.getdoc(value) or ""
    if not documentation.startswith(f"{name}("):
        yield re.sub(r"^:(?:param|raises?) ([^:]+):", r"* `\1`:", documentation, flags=re.MULTILINE)
    if inspect.isclass(value):
        for inner, method in vars(value).items():
            if not inner.startswith("_") and inspect.isfunction(method) and method.__doc__:
                yield from _member(inner, method, f"{level}#")


def _decisions(folder: Path) -> str:
    rows = []
    for path in sorted(folder.glob("[0-9]*.md")):
        title, _, status, *_ = path.read_text("utf-8").splitlines()
        rows.append(f"| [{title.removeprefix('# ')}]({path.name}) | {_cell(status.removeprefix('Status: '))} |")
    return "\n".join(["# Decisions", "", "| decision | status |", "|---|---|", *rows]) + "\n"


def _changes(root: Path) -> str:
    """CHANGELOG.md, and before its releases the notes of what is not released."""
    notes: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for path in sorted((root / "docs" / "changes").glob("*.md"), key=lambda path: int(path.name.split(".")[0])):
        kind = path.name.split(".")[1]
        notes[kind].append(path.read_text("utf-8").strip().replace("](../", "]("))
    parts = ["# Changes", "## Not released"]
    for kind, texts in notes.items():
        parts += [f"### {_KINDS[kind]}", *texts] if texts else []
    released = (root / "CHANGELOG.md").read_text("utf-8").partition("<!-- towncrier: releases start -->")[2]
    return "\n\n".join([*parts, released.strip()]) + "\n"
