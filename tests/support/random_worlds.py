"""Small universes and requests from a seed: what `test_resolver_property.py` draws with Hypothesis, in microseconds."""

from __future__ import annotations

from random import Random

from converters.record import Record
from tests.support.resolver_worlds import Wheel, World, record, wheel

__all__ = ["random_request", "random_world"]

NAMES = ("a", "b", "c", "d", "e", "f")
PROJECTS = (*NAMES, "x")
VERSIONS = ("1.0", "2.0", "3.0")
CONDA_CLAUSES = ("", "", " >=2", " <2", " ==1.0", " 2.*", " >=2,<3", " !=2.0", " =2=h*")
PYPI_CLAUSES = ("", "", ">=2", "<2", "==1.0", "==2.*", "~=2.0", "!=2.0")
MARKERS = ("", "", "", " ; python_version < '3.12'", " ; python_version >= '3.12'", " ; sys_platform == 'win32'")
TAGS = ("py3-none-any", "py3-none-any", "py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp311-abi3-linux_x86_64")
PYTHONS = tuple(record("python", version, build="h_0") for version in ("3.11.9", "3.12.4", "3.13.5", "3.14.1"))
PYTHON_CLAUSES = ("", "", " >=3.12", " >=3.11,<3.12.0a0", " >=3.12,<3.13.0a0", " >=3.13", " <3.14")


def random_world(chance: Random) -> World:
    """A universe of up to six conda names, as many projects, and the name map between them."""
    names = NAMES[: chance.randint(2, 6)]
    table = _table(chance, names)
    records = list(PYTHONS[: chance.randint(1, len(PYTHONS))])
    records += [
        _record(chance, name, version, names, is_mapped=bool(table.get(name)))
        for name in names
        for version in chance.sample(VERSIONS, chance.randint(0, 3))
    ]
    wheels = [
        _wheel(chance, project, version)
        for project in PROJECTS
        for version in chance.sample(VERSIONS, chance.randint(0, 2))
    ]
    return World(records=tuple(records), wheels=tuple(wheels), names=table)


def random_request(chance: Random) -> tuple[list[str], list[str]]:
    """MatchSpecs and PEP 508 requirements."""
    conda = [_bound(chance, "conda", _conda_text(chance, NAMES)) for _ in range(chance.randint(0, 2))]
    if chance.random() < 0.5:
        conda.append(f"python{chance.choice(PYTHON_CLAUSES)}")
    pypi = [_bound(chance, "pypi", _pypi_text(chance)) for _ in range(chance.randint(0 if conda else 1, 2))]
    return conda, pypi


def _bound(chance: Random, prefix: str, text: str) -> str:
    return f"{prefix}:{text}" if chance.random() < 1 / 6 else text


def _table(chance: Random, names: tuple[str, ...]) -> dict[str, object]:
    """Rows of one project or none. A second project that another row has too would be doubted: left to that one."""
    table: dict[str, object] = {}
    for name in names:
        rows: tuple[object, ...] = (None, [], [name], [name], [chance.choice(PROJECTS)])
        place = chance.randint(-1, len(rows) - 1)
        if place >= 0:
            table[name] = rows[place]
    if not any("x" in row for row in table.values() if isinstance(row, list)) and chance.random() < 0.5:
        table[names[0]] = [names[0], "x"]
    return table


def _record(chance: Random, name: str, version: str, names: tuple[str, ...], *, is_mapped: bool) -> Record:
    depends = [f"python{chance.choice(PYTHON_CLAUSES)}"] if is_mapped or chance.random() < 0.5 else []
    depends += [_conda_text(chance, names) for _ in range(chance.randint(0, 2))]
    constrains = [_conda_text(chance, names) for _ in range(chance.randint(0, 1))]
    return record(name, version, *depends, build=chance.choice(("h_0", "g_0")), constrains=constrains)


def _wheel(chance: Random, project: str, version: str) -> Wheel:
    requires = [_pypi_text(chance) for _ in range(chance.randint(0, 2))]
    requires += [f"{chance.choice(PROJECTS)} ; extra == 'more'" for _ in range(chance.randint(0, 1))]
    return wheel(
        f"{project}-{version}-{chance.choice(TAGS)}.whl",
        *requires,
        requires_python=chance.choice((None, None, ">=3.12", "<3.12")),
        extras=["more"],
    )


def _conda_text(chance: Random, names: tuple[str, ...]) -> str:
    return f"{chance.choice(names)}{chance.choice(CONDA_CLAUSES)}"


def _pypi_text(chance: Random) -> str:
    extra = chance.choice(("", "", "", "[more]"))
    return f"{chance.choice(PROJECTS)}{extra}{chance.choice(PYPI_CLAUSES)}{chance.choice(MARKERS)}"
