"""Lines with markup: files and pipes get the text that rich would print, without an import of rich."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.markup import escape
from rich.text import Text

from bridge.cli.console import Output
from bridge.cli.texts import safe, unmarked

LINES = (
    "[bold red]error[/] [bold]modified-file[/] 3: numpy (2)",
    "[/] [green]sound[/]",
    "requires requests\\[socks]>=2",
    "C:\\\\[bold]x[/]",
    "[Upper] [1] [] [",
    "\\\\\\[bold] twice",
    "no markup",
)


@pytest.mark.parametrize("line", [each for each in LINES if not each.startswith("[/]")])
def test_a_line_without_styles_is_what_rich_prints(line: str) -> None:
    assert unmarked(line) == Text.from_markup(line, emoji=False).plain


@pytest.mark.parametrize("text", [*LINES, "ends in \\", "[a-z]*", "[#1]", "a[b]c[d]"])
def test_foreign_text_is_escaped_as_rich_does(text: str) -> None:
    assert safe(text) == escape(text)
    assert unmarked(f"[bold]{safe(text)}[/]") == text


def test_a_pipe_needs_no_rich() -> None:
    program = (
        "import sys\nfrom bridge.cli.console import Output\n"
        "Output(is_error=False, forced=None).print('[bold]name[/] :x: \\\\[extra]')\nprint('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "name :x: [extra]\nFalse\n"


def test_signs_in_colons_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_error=False, forced=True).print("[bold]lib/:x:.py[/]")
    assert capsys.readouterr().out == "\x1b[1mlib/:x:.py\x1b[0m\n"
