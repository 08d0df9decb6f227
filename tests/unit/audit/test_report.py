"""What an audit leaves in files: the page, in a real browser where there is one, and the bills of materials."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import prefix
from bridge.audit.report.facts import Facts, gather
from bridge.audit.report.graph import positions
from bridge.audit.report.page import page
from bridge.audit.run import audit
from tests.support.audit_cases import LINUX, NAMES, NP, numpy
from tests.support.prefixes import SITE, PrefixBuilder
from tests.support.work import count_calls

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


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


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    document = json.loads(found[1])
    assert isinstance(document, dict)
    return document


def test_page_holds_packages_findings_and_paths(mixed: PrefixBuilder) -> None:
    document = data_of(page(facts_of(mixed)).decode())
    packages = {each["name"]: each for each in document["packages"]}
    assert {name: each["source"] for name, each in packages.items()} == {
        "python": "conda",
        "numpy": "conda",
        "rich": "wheel",
        "black": "unmanaged",
        "evil": "unmanaged",
    }
    assert "__init__.py" in packages["numpy"]["files"][f"{SITE}/numpy"]
    assert [each["id"] for each in document["findings"]][:1] == ["modified-file"]
    names = [each["name"] for each in document["packages"]]
    arrows = {(names[source], names[target]) for source, target, _ in document["dependencies"]}
    assert {("rich", "numpy"), ("black", "rich")} <= arrows


def test_page_asks_no_network(mixed: PrefixBuilder) -> None:
    text = page(facts_of(mixed)).decode()
    outside = text[: text.index('id="data">')] + text[text.rindex("<script>") :]
    assert set(re.findall(r"https?://[^\"'\s]+", outside)) == {"http://www.w3.org/2000/svg"}, "a name, never fetched"
    assert "default-src 'none'" in text


def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is on PATH (looked for {', '.join(BROWSERS)})")
    return found


def drawn(path: Path, folder: Path) -> tuple[str, str]:
    """The page as the browser has it in the end, and what it said on its console."""
    words = [
        browser(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
    ]
    words += [f"--user-data-dir={folder}", "--no-first-run", "--dump-dom", path.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)


def test_page_in_a_browser(mixed: PrefixBuilder, tmp_path: Path) -> None:
    """MUST (issue): it opens without console errors; what packages say of themselves is no markup."""
    target = tmp_path / "page.html"
    target.write_bytes(page(facts_of(mixed)))
    dom, console = drawn(target, tmp_path / "profile")
    assert console == ""
    assert "<title>bridge audit</title>" in dom
    assert dom.count('class="node') == 5
    assert 'data-id="modified-file"' in dom
    assert "<img" not in dom.replace("&lt;img", "")


@pytest.mark.slow
def test_500_packages_are_drawn_in_time(tmp_path: Path) -> None:
    """MUST (issue): 500 packages are drawn in at most 2 s."""
    made = PrefixBuilder(tmp_path / "env")
    for number in range(500):
        needs = [f"p{(number * 7 + step * 13) % (number + 1)}" for step in range(4)]
        made.wheel(f"p{number}", "1.0", requires=sorted({each for each in needs if each != f"p{number}"}))
    target = tmp_path / "page.html"
    target.write_bytes(page(facts_of(made)))
    dom, console = drawn(target, tmp_path / "profile")
    assert console == ""
    found = re.search(r'data-drawn="(\d+)"', dom)
    assert found is not None
    assert int(found[1]) <= 2000, "milliseconds since the page began to load"
    assert dom.count('class="node') == 501


@given(
    arrows=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40),
    count=st.integers(0, 13),
)
def test_every_package_has_a_place_of_its_own(arrows: list[tuple[int, int]], count: int) -> None:
    nodes = [f"n{number}" for number in range(count)]
    places = positions(nodes, [(f"n{source}", f"n{target}") for source, target in arrows])
    assert places.keys() == set(nodes)
    assert len(set(places.values())) == count
    assert places == positions(nodes, [(f"n{source}", f"n{target}") for source, target in arrows])


def test_who_needs_stands_left_of_what_is_needed() -> None:
    places = positions(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")])
    columns = {node: column for node, (column, _) in places.items()}
    assert columns["a"] < columns["b"] < columns["c"]


def test_the_layout_of_a_graph_grows_with_its_size() -> None:
    def layout(size: int) -> int:
        edges = [(f"n{number}", f"n{number // 2}") for number in range(1, size)]
        return count_calls(lambda: positions([f"n{number}" for number in range(size)], edges))

    assert layout(2000) < 5 * layout(500)
