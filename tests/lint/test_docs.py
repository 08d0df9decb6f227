"""What the documentation promises is what there is: commands, options, schemas, links."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import click
import jsonschema
import pytest

from bridge.cli.declaring import COMMANDS as MODULES
from bridge.cli.declaring import document_of
from bridge.cli.group import declared
from tests.support.documentation import generated_pages

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS = sorted(MODULES)
_SPOKEN = re.compile(r"(`|: )bridge ([a-z]+(?=[ `]|\Z)[^`;,()\n]*)")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    assert re.search(rf"`bridge {name}\b", text)
    for parameter in declared(name).params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{name} {parameter.name} has no help"
            assert f"`{max(parameter.opts, key=len)}" in text or max(parameter.opts, key=len) in text


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "schema"])
def test_each_command_has_a_schema(name: str) -> None:
    schema = json.loads((resources.files("bridge") / "schemas" / f"{document_of(name)}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            path = Path(os.path.normpath(page.parent / target))
            generated = path.is_relative_to(DOCS) and path.relative_to(DOCS).as_posix() in generated_pages()
            assert path.exists() or generated, target


def test_each_page_is_in_the_navigation_of_the_site() -> None:
    # The loader of mkdocs knows tags for Python names; the file has none.
    text = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    named = re.findall(r": ([a-z0-9/-]+\.md|[a-z/]+/)$", text, re.MULTILINE)
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).as_posix()
        assert name in named or any(name.startswith(folder) for folder in [*named, "changes/"] if folder[-1] == "/"), (
            name
        )


def test_each_decision_has_its_own_number_a_status_and_a_date() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        title, _, status, *_ = path.read_text("utf-8").splitlines()
        assert title.startswith(f"# {path.name[:4]} "), path.name
        assert re.match(r"Status: (accepted|replaced|rejected).* · \d{4}-\d{2}-\d{2}", status), path.name


def spoken(source: str) -> Iterator[str]:
    """Yield the texts of a module that are not docstrings; `…` stands for what is put into them."""
    tree = ast.parse(source)
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and isinstance(node.body[0], ast.Expr):
            passed.add(node.body[0].value)
        if isinstance(node, ast.JoinedStr):
            passed.update(node.values)
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in passed:
            yield node.value


def test_a_message_names_no_command_or_option_that_is_not_there() -> None:
    unknown = []
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        source = path.read_text("utf-8")
        texts = spoken(source) if "bridge " in source and path.parent.name != "habits" else ()
        for mark, command in (found for text in texts for found in _SPOKEN.findall(text)):
            name, *words = (word.rstrip(".:…") for word in command.split())
            options = {word for word in words if re.match("--?[a-z]", word)}
            if name not in COMMANDS and mark != "`" and not options:
                continue  # a sentence about bridge
            named = declared(name) if name in COMMANDS else None
            if isinstance(named, click.Group) and words:
                named = named.get_command(click.Context(named), words[0])
            known = {"--help", *(option for each in named.params for option in each.opts)} if named else set()
            unknown += [f"{path.name}: bridge {command}"] if named is None or options - known else []
    assert unknown == []


def test_a_message_names_no_page_that_an_installation_does_not_have() -> None:
    pages = []
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        source = path.read_text("utf-8")
        texts = spoken(source) if ".md" in source else ()
        pages += [f"{path.name}: {found}" for text in texts for found in re.findall(r"docs/[\w-]+\.md", text)]
    assert pages == []


def test_the_architecture_says_what_each_module_is_for() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("## The wings")[1].split("\n## ")[0]
    named = {word.strip("`/").split("/")[-1] for word in re.findall(r"`[a-z_/]+`", table)}
    for package in ("bridge", "converters"):
        modules = {path.stem for path in (ROOT / package).glob("*.py")}
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert {name for name in modules | folders if not name.startswith("__")} - named == set()


def test_ten_questions_lead_to_one_directory_each() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|") and "?" in line]
    directories = [re.findall(r"`([a-z_/]+)`", row[1]) for row in rows]
    assert len(rows) == 10
    assert all(len(named) == 1 and (ROOT / named[0]).is_dir() for named in directories), directories


def test_the_readme_is_one_page() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 100
    assert re.findall(r"<!-- ci: (\w+) -->\n```sh network\n", text) == ["install", "test"]


def test_every_kind_of_finding_is_documented_with_its_level() -> None:
    from bridge.audit.checks import CHECKS

    rows = re.findall(r"^\|[^|]*\| `([a-z-]+)` \| (\w+)", (ROOT / "docs" / "audit.md").read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == {check.id: check.level for check in CHECKS}


def test_each_row_of_the_threat_model_names_tests_that_are_there() -> None:
    rows = [line for line in (ROOT / "docs" / "security.md").read_text("utf-8").splitlines() if line.startswith("|")]
    named = [match for line in rows for match in re.findall(r"`(test_\w+)(?:::(test_\w+))?`", line)]
    assert len(named) >= 30
    for module, function in named:
        (path,) = (ROOT / "tests").rglob(f"{module}.py")
        text = path.read_text("utf-8")
        assert not function or f"def {function}" in text, (module, function)
