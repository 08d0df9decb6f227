"""The page of an audit: its text, and what a real browser shows of it where there is one."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pypdf
import pytest

from bridge import prefix
from bridge.audit.finding import Finding, Level, Report
from bridge.audit.packages import PackageRow
from bridge.audit.report.facts import Dependency, Facts, gather
from bridge.audit.report.page import page
from bridge.audit.run import audit
from tests.support.audit_cases import LINUX, NAMES, NP, numpy
from tests.support.browser import Page, opened
from tests.support.prefixes import SITE, PrefixBuilder

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
WIDTHS = (1280, 800, 400)


def facts_of(made: PrefixBuilder) -> Facts:
    report = audit(made.root, LINUX, NAMES)
    return gather(prefix.read(made.root), LINUX, NAMES, report)


@pytest.fixture
def mixed(tmp_path: Path) -> PrefixBuilder:
    made = PrefixBuilder(tmp_path / "env")
    numpy(made)
    made.wheel("rich", "13.0", requires=["numpy>=1"], requested=True, specs=["rich>=13"])
    made.distribution("black", "24.1", requires=["rich"])
    made.write(NP, b"</script><script>document.title='taken over'</script>")
    made.distribution("evil", "1.0", {f"{SITE}/evil/<img src=x onerror=alert(1)>.py": b""})
    return made


def large(count: int, requested: int = 25, *, findings: int = 0) -> Facts:
    """An environment of this many packages; each but the requested is required by an earlier one, and by others."""
    rows = [
        PackageRow(
            owner=f"{'conda' if number % 3 else 'wheel'}:package-{number}-1.{number}",
            name=f"package-{number}",
            version=f"1.{number}",
            source="conda" if number % 3 else "wheel",
            license="MIT",
            origin="https://example.org/conda-forge",
            is_requested=number < requested,
        )
        for number in range(count)
    ]
    arrows = {(number * 7 % max(number // 2, 1), number) for number in range(requested, count)}
    arrows |= {(number, count - 1 - number * 5 % 40) for number in range(count - 40) if number % 3}
    dependencies = [
        Dependency(dependant=rows[one].owner, text=f"{rows[other].name} >=1", dependency=rows[other].owner)
        for one, other in sorted(arrows)
    ]
    kinds: tuple[tuple[str, Level], ...] = (
        ("modified-file", "error"), ("missing-library", "warning"), ("unowned-file", "info"),
    )  # fmt: skip
    found = []
    for number in range(findings):
        row = rows[number * 5 % min(count, 60)]
        kind, level = kinds[number % 3]
        found.append(
            Finding(
                id=kind,
                level=level,
                package=row.name,
                owner=row.owner,
                path=f"lib/{'long-' * 30}{number}.py",
                evidence=f"finding-{number:03}",
                repair=("bridge", "audit", "-p", "/env", "--fix"),
            )
        )
    counted = Report(
        prefix=Path("/env"), packages={"conda": count, "wheel": 0, "unmanaged": 0}, files=count * 100, unowned=0,
        findings=tuple(sorted(found, key=lambda each: each.level)),
    )  # fmt: skip
    paths = {row.owner: [f"lib/{row.name}/module_{place}.py" for place in range(100)] for row in rows}
    return Facts(
        report=counted, rows=tuple(rows), dependencies=tuple(dependencies), paths=paths, platform="linux-64",
        python="3.12.4",
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(tmp_path_factory.mktemp("profile")) as page:
        yield page


def shown(browser: Page, facts: Facts, folder: Path, width: int = 1280, *, scripts: bool = True) -> Path:
    target = folder / "page.html"
    target.write_bytes(page(facts, WHEN))
    browser.console.clear()
    browser.open(target, width, scripts=scripts)
    return target


@lru_cache
def axe() -> str:
    """The text of axe-core, which a distribution of the extra `test` carries."""
    try:
        files = distribution("axe-core-python").files or []
    except PackageNotFoundError:
        pytest.skip("axe-core-python is not installed")
    return next(str(each.locate()) for each in files if each.name == "axe.min.js")


def violations(browser: Page) -> list[Any]:
    browser.run(Path(axe()).read_text("utf-8") + "; true")
    found = browser.run("axe.run()")["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    document = json.loads(found[1])
    assert isinstance(document, dict)
    return document


def test_the_text_has_verdict_findings_packages_and_paths(mixed: PrefixBuilder) -> None:
    text = page(facts_of(mixed), WHEN).decode()
    assert text.index("<h1") < text.index("2026-01-02 03:04 UTC") < text.index('id="findings"')
    assert "✗</span>1 error in 1 package</h1>" in text.replace(" and 1 warning", "")
    assert 'data-id="modified-file"' in text
    document = data_of(text)
    packages = {each["name"]: each for each in document["packages"]}
    assert {name: each["source"] for name, each in packages.items()} == {
        "python": "conda",
        "numpy": "conda",
        "rich": "wheel",
        "black": "unmanaged",
        "evil": "unmanaged",
    }
    assert "__init__.py" in packages["numpy"]["files"][f"{SITE}/numpy"]
    assert packages["numpy"]["worst"] == "error"
    names = [each["name"] for each in document["packages"]]
    arrows = {(names[source], names[target]) for source, target, _ in document["dependencies"]}
    assert {("rich", "numpy"), ("black", "rich")} <= arrows


def test_texts_of_packages_are_no_markup(mixed: PrefixBuilder) -> None:
    text = page(facts_of(mixed), WHEN).decode()
    assert "<img" not in text
    assert text.count("</script>") == 3


def test_page_asks_no_network(mixed: PrefixBuilder) -> None:
    text = page(facts_of(mixed), WHEN).decode()
    outside = text[: text.index('id="data">')] + text[text.index("<script>") :]
    assert set(re.findall(r"https?://[^\"'\s]+", outside)) == {"http://www.w3.org/2000/svg"}, "a name, never fetched"
    assert "default-src 'none'" in text


def test_a_healthy_environment_is_said_to_be_so(tmp_path: Path, browser: Page) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("rich", "13.0")
    shown(browser, facts_of(made), tmp_path)
    assert browser.run("document.querySelector('h1').innerText") == "✓Nothing is wrong"
    assert violations(browser) == []
    assert browser.console == []


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_fits_its_window_and_is_accessible(width: int, tmp_path: Path, browser: Page) -> None:
    shown(browser, large(60, 8, findings=122), tmp_path, width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert violations(browser) == []
    browser.run("choose(1); document.querySelectorAll('#levels button').forEach(each => each.click())")
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert violations(browser) == []
    browser.send("Emulation.setEmulatedMedia", features=[])
    assert browser.console == []


@pytest.mark.slow
def test_every_finding_is_printed(tmp_path: Path, browser: Page) -> None:
    shown(browser, large(60, 8, findings=122), tmp_path)
    assert browser.run("document.querySelectorAll('.finding:not(.hidden)').length") > 0
    pages = pypdf.PdfReader(io.BytesIO(browser.pdf())).pages
    text = unicodedata.normalize("NFKC", "".join(each.extract_text() for each in pages))  # "fi" is one character there
    assert {f"finding-{number:03}" for number in range(122)} - set(re.findall(r"finding-\d{3}", text)) == set()
    browser.send("Emulation.setEmulatedMedia", media="print")
    shown_names = "[...document.querySelectorAll('#packages td.name')].filter(each => each.innerText.trim()).length"
    assert browser.run(shown_names) == 60
    browser.send("Emulation.setEmulatedMedia", media="")


def test_without_scripts_all_is_there_as_a_list(tmp_path: Path, browser: Page) -> None:
    shown(browser, large(60, 8, findings=122), tmp_path, 400, scripts=False)
    text = browser.run("document.body.innerText")
    assert {f"finding-{number:03}" for number in range(122)} - set(re.findall(r"finding-\d{3}", text)) == set()
    assert all(f"package-{number}" in text for number in range(60))
    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert browser.run("document.querySelector('#dependencies').offsetHeight") == 0


@pytest.mark.slow
def test_467_packages_are_folded_drawn_in_time_and_unfolded(tmp_path: Path, browser: Page) -> None:
    shown(browser, large(467), tmp_path)
    assert browser.run("document.documentElement.dataset.drawn") is not None
    assert int(browser.run("document.documentElement.dataset.drawn")) <= 2000, (
        "milliseconds since the page began to load"
    )
    count = "document.querySelectorAll('#graph .node').length"
    assert 25 <= browser.run(count) <= 60
    sizes = browser.run(
        "[...document.querySelectorAll('#graph text')].map(each => each.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 9, "pixels of the letters"
    browser.run("document.querySelector('#graph-search').focus()")
    before = browser.run(count)
    name = browser.run("const hidden = packages.findIndex((each, i) => !places.has(i)); packages[hidden].name")
    browser.run("choose(hidden)")
    assert browser.run(count) > before, "what a package is folded into unfolds"
    assert browser.run("document.querySelector('#graph .chosen').getAttribute('aria-label')").startswith(name)
    assert name in browser.run("document.querySelector('#detail').innerText")
    assert browser.console == []


def test_the_graph_is_used_by_keyboard(tmp_path: Path, browser: Page) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("a", "1", requires=["b"], requested=True, specs=["a"])
    made.wheel("b", "1", requires=["c"])
    made.wheel("c", "1")
    shown(browser, facts_of(made), tmp_path)
    assert focused(browser, ["document.querySelector('#graph .node[tabindex=\"0\"]').focus()"], ()) == "a +2"
    assert focused(browser, (), "+") == "a"
    assert focused(browser, (), ["ArrowRight"]) == "b +1"
    assert focused(browser, (), ["+", "ArrowRight"]) == "c"
    assert focused(browser, (), ["ArrowLeft", "ArrowLeft", "Enter"]) == "a"
    assert browser.run("document.querySelectorAll('#graph [tabindex=\"0\"]').length") == 1, "one stop of the tab key"


def focused(browser: Page, texts: Sequence[str], keys: Sequence[str]) -> str:
    for text in texts:
        browser.run(text)
    for key in keys:
        browser.press(key)
    return str(browser.run("document.activeElement.getAttribute('aria-label').split(',')[0]"))


@pytest.mark.slow
def test_a_command_is_copied_and_a_filter_applies(mixed: PrefixBuilder, tmp_path: Path, browser: Page) -> None:
    shown(browser, facts_of(mixed), tmp_path)
    browser.run("document.querySelector('.copy').click()")
    browser.run("new Promise(done => setTimeout(done, 300))")
    assert browser.run("document.querySelector('.copy').innerText") in {"copied", "selected"}
    browser.run("const box = document.querySelector('#findings-search'); box.value = 'no such text';"
                " box.dispatchEvent(new Event('input'))")  # fmt: skip
    assert browser.run("document.querySelectorAll('.finding[data-level]:not(.hidden)').length") == 0
    assert "not shown" in browser.run("document.querySelector('#filtered').innerText")
    browser.run("const paths = document.querySelector('#paths-search'); paths.value = 'numpy/__init__';"
                " paths.dispatchEvent(new Event('input'))")  # fmt: skip
    assert "numpy" in browser.run("document.querySelector('#found-paths').innerText")
    assert browser.console == []
