"""The code blocks of the documentation: reading them, checking the commands in them, and a world to run them in.

The words after the language of a shell block say what it needs: `network`, `conda`, `container`. Such a block is
checked only; any other block runs. `fails` says that its last command fails. A block with `title="FILE"` is the content
of FILE for the blocks after it. Lines in a comment that starts with `<!-- run:` run too; the reader does not see them.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from bridge.cli.declaring import COMMANDS
from bridge.cli.group import declared
from bridge.cli.habits import ALIASES
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.servers import IndexServer

__all__ = [
    "NEEDS",
    "Block",
    "blocks_of",
    "faults_of_block",
    "faults_of_prose",
    "generated_pages",
    "make_world",
    "pages",
]

ROOT = Path(__file__).resolve().parents[2]
NEEDS = frozenset({"network", "conda", "container"})
"""What a shell block may need that a test machine does not have."""
SHELLS = frozenset({"sh", "bash", "shell"})
OUTPUTS = frozenset({"", "console", "text", "shell-session"})
SUBDIRS = ("noarch", "linux-64", "linux-aarch64", "osx-arm64", "win-64")

_FENCE = re.compile(
    r"^(?P<indent> *)(?:```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```|<!-- run:\n(?P<hidden>.*?)^(?P=indent)-->)",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_SPAN = re.compile(r"`(?:conda )?bridge ([a-z][^`]*)`")
_OPTION = re.compile(r"(?<![\w/.=-])--?[a-zA-Z][\w-]*")
_TYPED = re.compile(r"^ *\$? *bridge [a-z]+(?: |$)", re.MULTILINE)
_SUBSTITUTED = re.compile(r"\$\(([^()]*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block, or the hidden lines of a comment (`language` is `sh` then)."""

    page: Path
    line: int
    language: str
    words: frozenset[str] = field(default_factory=frozenset)
    title: str | None = None
    body: str

    @property
    def is_shell(self) -> bool:
        return self.language in SHELLS

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read, but not the notes of changes."""
    docs = [path for path in (ROOT / "docs").rglob("*.md") if "changes" not in path.relative_to(ROOT).parts]
    return sorted([*ROOT.glob("*.md"), *docs])


@functools.cache
def generated_pages() -> frozenset[str]:
    """The pages that the site makes of the code, relative to `docs/`."""
    specification = importlib.util.spec_from_file_location("generated", ROOT / "docs" / "site" / "generated.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return frozenset(module.pages(ROOT))


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    made = []
    for match in _FENCE.finditer(text):
        indent, line = len(match["indent"]), text.count("\n", 0, match.start()) + 1
        body = match["hidden"] if match["hidden"] is not None else match["body"]
        body = "".join(row[indent:] or "\n" for row in body.splitlines(keepends=True))
        info = match["info"] or ("sh" if match["hidden"] is not None else "")
        language, *words = _TITLE.sub("", info).split() or [""]
        title = _TITLE.search(info)
        made.append(
            Block(
                page=page,
                line=line,
                language=language,
                words=frozenset(words),
                title=title[1] if title else None,
                body=body,
            )
        )
    return made


def faults_of_block(block: Block) -> list[str]:
    """What is wrong with the commands of a block: unknown commands and options, and words that mean nothing."""
    faults = [f"unknown word {word!r}" for word in block.words - NEEDS - {"fails"} if block.is_shell]
    if block.language in OUTPUTS and _TYPED.search(block.body):
        faults.append("a block of commands has the language `sh`")
    if block.is_shell or block.language in {"dockerfile", "yaml"}:
        for words in _commands(block.body):
            faults += _faults_of_command(words)
    return [f"{block.where}: {fault}" for fault in faults]


def faults_of_prose(page: Path) -> list[str]:
    """Commands and options of `bridge …` in running text that are not there; blocks that `blocks_of` does not see."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    faults = ["a block begins with ```"] if re.search(r"^ *~~~|^ {4,}\$? *bridge [a-z]", text, re.MULTILINE) else []
    for span in _SPAN.findall(text):
        command, rest = _command_of(span.replace("\\|", "|").split())
        if command is None:
            faults.append(f"no command: bridge {span}")
            continue
        # What `bridge run` starts has options of its own.
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        if command.name != "run":
            named = _OPTION.findall(" ".join(rest))
            faults += [f"no option {option}: bridge {span}" for option in named if option not in known]
    return [f"{page.relative_to(ROOT).as_posix()}: {fault}" for fault in faults]


def _commands(text: str) -> Iterator[list[str]]:
    """The words after `bridge` of each of its commands in a text of shell lines, also of those in `$(…)`."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in [_SUBSTITUTED.sub("X", line), *_SUBSTITUTED.findall(line)]:
            if not re.search(r"\bbridge\b", part):
                continue
            reader = shlex.shlex(part, posix=True, punctuation_chars=";&|()<>")
            reader.whitespace_split = True
            words: list[str] = []
            for word in [*reader, ";"]:
                if not set(word) <= set(";&|()"):
                    words.append(word)
                    continue
                at = words.index("bridge") if "bridge" in words else None
                # `conda env create --env-spec bridge` is no command of bridge; `RUN --mount=… bridge sync` is one.
                if at is not None and not re.fullmatch(r"--[a-z-]+", words[at - 1] if at else ""):
                    yield words[at + 1 :]
                words = []


def _command_of(words: list[str]) -> tuple[click.Command | None, list[str]]:
    name = words[0] if words else ""
    if name not in COMMANDS and name not in ALIASES:
        return None, []
    command, rest = declared(ALIASES.get(name, name)), words[1:]
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def _faults_of_command(words: list[str]) -> list[str]:
    if words[:1] in (["--version"], ["--help"]):
        return []
    command, rest = _command_of(words)
    if command is None:
        return [f"no command: bridge {' '.join(words)}"]
    if isinstance(command, click.Group):
        return [f"no subcommand: bridge {' '.join(words)}"]
    if ">" in rest:
        rest = rest[: rest.index(">")]
    try:
        settings = {"help_option_names": ["-h", "--help"], **command.context_settings}
        context = click.Context(command, info_name=command.name, **settings)
        command.make_parser(context).parse_args(list(rest))
    except click.UsageError as error:
        return [f"bridge {' '.join(words)}: {error.format_message()}"]
    return []


def make_world(folder: Path, index: IndexServer) -> None:
    """Fill `folder/channels/conda-forge` and the index with the packages that the pages name."""
    channel = folder / "channels" / "conda-forge"
    for minor in ("3.11", "3.12"):
        make_python(channel, minor)
        for subdir in ("linux-aarch64", "osx-arm64", "win-64"):
            make_conda(channel, "python", f"{minor}.1", subdir=subdir, noarch=None)
    for subdir in SUBDIRS[1:]:
        for version in ("1.26.4", "2.2.0"):
            make_conda(channel, "numpy", version, subdir=subdir, noarch=None, depends=["python"])
        make_conda(channel, "zlib", "1.3.1", subdir=subdir, noarch=None)
    make_conda(channel, "gdal", "3.9.0", depends=["python", "numpy >=1.26"])
    make_conda(channel, "pandas", "2.2.2", depends=["python", "numpy >=1.26"])
    make_conda(channel, "pip", "24.0", depends=["python"])
    make_repodata(channel, SUBDIRS)
    for name, versions in _PROJECTS.items():
        for version in versions:
            scripts = {name: f"{name.replace('-', '_')}:main"} if name in _PROGRAMS else None
            wheel = make_wheel(
                folder / "wheels",
                name,
                version,
                requires=_REQUIRES.get(name, ()),
                console_scripts=scripts,
                files={f"{name.replace('-', '_')}/__init__.py": b"def main():\n    print('moo')\n"},
            )
            index.publish(wheel)


_PROJECTS = {
    "rich": ("13.0.0", "15.0.0"),
    "httpx": ("0.28.1",),
    "textual": ("0.9.0", "1.0.0"),
    "cowsay": ("6.0", "6.1"),
    "requests": ("2.32.0",),
    "ipykernel": ("6.29.0",),
    "company-tools": ("1.0",),
    "hatchling": ("1.25.0",),
}
_PROGRAMS = ("cowsay",)
_REQUIRES = {"textual": ("rich>=13",), "company-tools": ("requests>=2",)}
