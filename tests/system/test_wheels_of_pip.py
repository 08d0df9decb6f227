"""What pip installs is converted, with one remark at most; a refusal has a reason of security, which it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.convert.wheel import ConvertedPackage, convert_wheel
from bridge.errors import BridgeError
from converters.names import NameMap
from tests.support.wheels_of_pip import ACCEPTED, INFO, REFUSED, write_odd

ROOT = Path(__file__).resolve().parents[2]
MADE_BY_PIP = {f"{INFO}/{name}" for name in ("INSTALLER", "REQUESTED", "direct_url.json")}
_INSTALL = """
import os, sys
from pip._internal.cli.main import main
import pip._internal.commands.install, pip._internal.operations.install.wheel
for folder in sys.argv[1:]:
    child = os.fork()
    if not child:
        wheel = folder + "/demo-1.0-py3-none-any.whl"
        options = "--no-index --no-deps --no-compile --no-cache-dir --ignore-installed --disable-pip-version-check"
        os._exit(main(["install", "-q", *options.split(), "--prefix", folder + "/pip", wheel]))
    os.waitpid(child, 0)
"""


def converted(folder: Path, wheel: Path) -> ConvertedPackage:
    (package,) = convert_wheel(wheel, folder / "out", names=NameMap.empty()).all
    return package


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_odd_wheel_is_converted(case: str, tmp_path: Path) -> None:
    odd = ACCEPTED[case]
    notes = [note for note in converted(tmp_path, write_odd(tmp_path, odd)).notes if note.is_warning]
    remarks = [note.text for note in notes if note.kind != "tags"]
    assert len(remarks) == bool(odd.says), remarks
    assert odd.says in "".join(remarks)


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_its_reason(case: str, tmp_path: Path) -> None:
    expected, odd = REFUSED[case]
    wheel = write_odd(tmp_path, odd)
    with pytest.raises(BridgeError) as caught:
        converted(tmp_path, wheel)
    assert caught.value.id == expected
    assert odd.says in f"{caught.value.message}\n{caught.value.hint}"
    assert not list(tmp_path.glob("out/*/*"))


def test_the_documentation_lists_each_refusal() -> None:
    table = (ROOT / "docs/conversion.md").read_text("utf-8").split("## Wheels that are not quite right")[1]
    listed = set(re.findall(r"`([a-z0-9-]+)`", table.split("\n## ")[0]))
    assert {expected for expected, _ in REFUSED.values()} <= listed


@pytest.mark.slow
def test_pip_installs_the_same_files(tmp_path: Path) -> None:
    """Of those that are accepted. Most that are refused are installed too, which is why each needs a reason."""
    cases = {**ACCEPTED, **{case: odd for case, (_, odd) in REFUSED.items()}}
    folders = {case: tmp_path / str(number) for number, case in enumerate(cases)}
    for case, odd in cases.items():
        write_odd(folders[case], odd)
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([sys.executable, "-c", _INSTALL, *map(str, folders.values())], env=environment, check=True)
    for case in ACCEPTED:
        (site,) = folders[case].glob("pip/lib/*/site-packages")
        by_pip = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()} - MADE_BY_PIP
        package = converted(tmp_path / "packages" / folders[case].name, next(folders[case].glob("*.whl")))
        assert by_pip == _modules(package.path) - MADE_BY_PIP, case
    refused_by_pip = [case for case in REFUSED if not list(folders[case].glob("pip/lib/*/site-packages/demo"))]
    assert len(refused_by_pip) <= len(REFUSED) // 4, refused_by_pip


def _modules(package: Path) -> set[str]:
    import conda_package_streaming.package_streaming as streaming

    parts = streaming.CondaComponent
    with package.open("rb") as stream:
        found = {member.name for _, member in streaming.stream_conda_component(package.name, stream, parts.pkg)}
    return {name.removeprefix("site-packages/") for name in found if name.startswith("site-packages/")}
