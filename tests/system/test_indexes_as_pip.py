"""Pages, redirects, directories and files of many forms: bridge takes from each the file that pip takes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.version import Version

from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge, clean_environment
from tests.support.pip import PIP
from tests.support.servers import HTML, JSON, Server


class Site(Server):
    """An index at `/simple/`, with one project for each form of a page; files are below `/f/`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def file(self, name: str, version: str = "1.0", at: str = "/f") -> str:
        """Publish a wheel of a project; return its path with its hash."""
        wheel = make_wheel(self.folder / "made", name, version)
        self.add(f"{at}/{wheel.name}", wheel.read_bytes())
        return f"{at}/{wheel.name.replace('+', '%2B')}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}"

    def html(self, name: str, *anchors: str, at: str | None = None, head: str = "") -> None:
        page = f"<!DOCTYPE html><html><head>{head}</head><body>{'<br>'.join(anchors)}</body></html>"
        self.add(at or f"/simple/{name}/", page.encode(), content_type=HTML)

    def json(self, name: str, *files: dict[str, object]) -> None:
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": list(files)}
        self.add(f"/simple/{name}/", json.dumps(page).encode(), content_type=JSON)

    def entry(self, name: str, version: str = "1.0", more: Mapping[str, object] | None = None) -> dict[str, object]:
        path, _, digest = self.file(name, version).partition("#sha256=")
        return {
            "filename": path.rpartition("/")[2],
            "url": f"../..{path}",
            "hashes": {"sha256": digest},
            **(more or {}),
        }

    def metadata(self, name: str) -> str:
        """Publish the METADATA of a project's wheel; return its hash."""
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n".encode()
        self.add(f"/f/{name}-1.0-py3-none-any.whl.metadata", text)
        return hashlib.sha256(text).hexdigest()


def anchor(href: str, attributes: str = "") -> str:
    return f'<a href="{href}"{attributes}>a file</a>'


def publish(site: Site) -> None:
    """Publish one project for each form."""
    site.html("plain", anchor(site.file("plain")), anchor(site.file("plain", "2.0")))
    site.add("/simple/moved/", location="/moved/page")
    site.html("moved", anchor("../" + site.file("moved").lstrip("/")), at="/moved/page")
    site.html(
        "based", anchor(site.file("based", at="/base/f").removeprefix("/base/")), head=f'<base href="{site.url}/base/">'
    )
    site.html("encoded", anchor(site.file("encoded", "1.0+local")))
    site.html("spaces", anchor(f"  {site.file('spaces')}\n"))
    site.html("yanked", anchor(site.file("yanked")), anchor(site.file("yanked", "2.0"), ' data-yanked="bad"'))
    site.html("newer", anchor(site.file("newer")), anchor(site.file("newer", "2.0"), ' data-requires-python="&gt;=4"'))
    site.html("early", anchor(site.file("early")), anchor(site.file("early", "2.0rc1")))
    for name, attribute in (("oldmark", "data-dist-info-metadata"), ("newmark", "data-core-metadata")):
        site.html(name, anchor(site.file(name), f' {attribute}="sha256={site.metadata(name)}"'))
    site.html(
        "truemark", anchor(site.file("truemark"), f' data-core-metadata="{site.metadata("truemark") and "true"}"')
    )
    site.json(
        "rows",
        site.entry("rows"),
        site.entry("rows", "2.0", {"yanked": False}),
        site.entry("rows", "3.0", {"yanked": "x"}),
    )
    site.json("oldkey", site.entry("oldkey", more={"dist-info-metadata": {"sha256": site.metadata("oldkey")}}))
    site.json("newkey", site.entry("newkey", more={"core-metadata": {"sha256": site.metadata("newkey")}}))
    nothing: dict[str, object] = {"core-metadata": None, "dist-info-metadata": {"sha256": site.metadata("bothkeys")}}
    site.json("bothkeys", site.entry("bothkeys", more=nothing))
    site.json("bounded", site.entry("bounded"), site.entry("bounded", "2.0", {"requires-python": ">=4"}))
    # An object store: the list of projects is there, and what it does not have is forbidden.
    site.html("", anchor("plain/"), at="/simple/")
    site.add("/simple/forbidden/", statuses=[403] * 9)
    site.html("linked", anchor(site.file("linked")), at="/links.html")


@pytest.mark.slow
def test_the_files_of_many_forms_of_indexes(tmp_path: Path) -> None:
    if Version("23.1") > PIP:
        pytest.skip(f"pip {PIP} ends with a traceback at one of these pages")
    links, other = tmp_path / "links", tmp_path / "other/simple"
    make_wheel(links, "inside", "1.0")
    make_wheel(tmp_path / "beside", "page", "1.0")
    (links / "more.html").write_text(anchor("../beside/page-1.0-py3-none-any.whl"))
    single = make_wheel(tmp_path / "single", "single", "1.0")
    for name in ("forbidden", "local"):
        wheel = make_wheel(tmp_path / "other", name, "1.0")
        (other / name).mkdir(parents=True)
        (other / name / "index.html").write_text(anchor(f"../../{wheel.name}"))
    make_conda(tmp_path / "channel", "python", ".".join(map(str, sys.version_info[:3])), subdir="linux-64", noarch=None)
    make_repodata(tmp_path / "channel")
    with Site(tmp_path) as site:
        publish(site)
        remote = site.url + site.file("remote").partition("#")[0]
        names = sorted({path.split("/")[2] for path in site.routes if path.startswith("/simple/")} - {""})
        names += ["linked", "remote", "inside", "page", "single", "local"]
        words = ["--index-url", f"{site.url}/simple", "--extra-index-url", other.as_uri()]
        for place in (str(links), f"{site.url}/links.html", str(single), remote):
            words += ["--find-links", place]
        environ = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
        pip = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", "-"]
        said = subprocess.run(
            [*pip, *words, *names], env=clean_environment() | environ, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stderr
        expected = {each["download_info"]["url"].rpartition("/")[2] for each in json.loads(said.stdout)["install"]}
        bridge = Bridge(cache=tmp_path / "cache", index=None, folder=tmp_path, environ=environ)
        target = ("--platform", "linux-64", "-c", "./channel")
        ran = bridge("resolve", "--json", *target, *words, "python", *(f"pypi:{name}" for name in names))
        assert ran.status == 0, ran.err
        found = {each["url"].rpartition("/")[2] for each in ran.document["packages"] if each["source"] == "wheel"}
        assert found == expected
        assert len(found) == len(names)
