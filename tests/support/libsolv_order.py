"""Whether libsolv, the solver of mamba and by default of conda, accepts a version for a version spec.

`accepts` is a model in python of libsolv 0.7 (its comparison of versions for conda). `Library` asks a compiled libsolv
(with `ENABLE_CONDA`); `benchmarks/convert_meaning.py --libsolv FILE` compares the two on every pair that it judges.
The order is that of conda (CEP 33) with one difference: a local version is above the version without it, and not below.
"""

from __future__ import annotations

import ctypes
import itertools
import operator
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

__all__ = ["Library", "accepts", "compare"]

_PARTS = re.compile(r"[0-9]+|[^0-9]+")
_COMPARISON = re.compile(r"(==|!=|>=|<=|>|<)(.+)")
_TESTS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
# The kinds of parts, in their order: `dev`, other words, the end of a segment (which equals 0) and numbers, `post`.
_Part = tuple[int, int, str]
_END: _Part = (2, 0, "")


def compare(left: str, right: str) -> int:
    """Return -1, 0 or 1."""
    (epoch_a, release_a, local_a), (epoch_b, release_b, local_b) = _key(left), _key(right)
    if order := _compare_segments(epoch_a, epoch_b) or _compare_segments(release_a, release_b):
        return order
    if local_a is None or local_b is None:
        return (local_a is not None) - (local_b is not None)
    return _compare_segments(local_a, local_b)


def accepts(spec: str, version: str) -> bool:
    """Return whether `version` matches a version spec: clauses joined by `,`, alternatives by `|`."""
    return any(all(_matches(clause, version) for clause in part.split(",")) for part in spec.split("|"))


_Segments = tuple[tuple[_Part, ...], ...]


@cache
def _key(version: str) -> tuple[_Segments, _Segments, _Segments | None]:
    epoch, mark, rest = version.partition("!")
    if not mark:
        epoch, rest = "0", version
    release, mark, local = rest.rpartition("+")
    return _segments(epoch), _segments(release if mark else rest), _segments(local) if mark else None


def _segments(text: str) -> _Segments:
    return tuple(_parts(segment) for segment in re.split(r"[._-]", text) if segment)


def _parts(segment: str) -> tuple[_Part, ...]:
    parts = [_part(text) for text in _PARTS.findall(segment.lower())]
    return tuple(parts if parts[0][0] == 2 else [_END, *parts])  # a segment starts with a number


def _part(text: str) -> _Part:
    if text.isdigit():
        return (2, int(text), "")
    return {"post": (3, 0, ""), "dev": (0, 0, "")}.get(text, (1, 0, text))


def _compare_segments(left: _Segments, right: _Segments) -> int:
    for a, b in itertools.zip_longest(left, right, fillvalue=()):
        for x, y in itertools.zip_longest(a, b, fillvalue=_END):
            if x != y:
                return -1 if x < y else 1
    return 0


def _matches(clause: str, version: str) -> bool:
    if clause.endswith(".*"):
        prefix = clause.removesuffix(".*").removeprefix("!=")
        return _starts_with(version, prefix) != clause.startswith("!=")
    comparison = _COMPARISON.fullmatch(clause)
    if comparison is None:
        return clause == "*" or compare(version, clause) == 0
    return _TESTS[comparison[1]](compare(version, comparison[2]), 0)


def _starts_with(version: str, prefix: str) -> bool:
    a, b = _key(version), _key(prefix)
    if _compare_segments(a[0], b[0]):
        return False
    *exact, last = b[1]
    head = [*itertools.islice(itertools.chain(a[1], itertools.repeat(())), len(b[1]))]
    if _compare_segments(tuple(head[:-1]), tuple(exact)):
        return False
    return _compare_segments((tuple(head[-1])[: len(last)] or (_END,),), (last,)) == 0


class _Queue(ctypes.Structure):
    """libsolv's `Queue`."""

    _fields_ = (
        ("elements", ctypes.POINTER(ctypes.c_int)),
        ("count", ctypes.c_int),
        ("alloc", ctypes.c_void_p),
        ("left", ctypes.c_int),
    )


class Library:
    """A compiled libsolv 0.7 with `ENABLE_CONDA`, asked by its public functions about a fixed set of versions."""

    _CONDA = 4  # DISTTYPE_CONDA
    _EQUAL = 2  # REL_EQ
    _PROVIDES = 3  # SOLVER_SOLVABLE_PROVIDES

    def __init__(self, path: Path, versions: Iterable[str]) -> None:
        """Load the library. Raises `OSError`, or `ValueError` if it was built without support for conda."""
        self._lib = ctypes.CDLL(str(path))
        self._lib.pool_create.restype = self._lib.repo_create.restype = ctypes.c_void_p
        self._pool = ctypes.c_void_p(self._lib.pool_create())
        if self._lib.pool_setdisttype(self._pool, self._CONDA) < 0:
            raise ValueError(f"{path} was built without ENABLE_CONDA")
        self._repo = ctypes.c_void_p(self._lib.repo_create(self._pool, b"versions"))
        self._versions = {self._add(version): version for version in versions}
        self._lib.pool_createwhatprovides(self._pool)

    def compare(self, left: str, right: str) -> int:
        """Return -1, 0 or 1."""
        order = int(self._lib.pool_evrcmp_str(self._pool, left.encode(), right.encode(), 0))
        return (order > 0) - (order < 0)

    def accepted(self, spec: str) -> set[str]:
        """Return the versions of packages that match the MatchSpec `p SPEC`."""
        matchspec = self._lib.pool_conda_matchspec(self._pool, f"p {spec}".encode())
        job, found = _Queue(), _Queue()
        elements = (ctypes.c_int * 2)(self._PROVIDES, matchspec)
        job.elements, job.count = ctypes.cast(elements, ctypes.POINTER(ctypes.c_int)), 2
        self._lib.queue_init(ctypes.byref(found))
        self._lib.selection_solvables(self._pool, ctypes.byref(job), ctypes.byref(found))
        accepted = {self._versions[found.elements[place]] for place in range(found.count)}
        self._lib.queue_free(ctypes.byref(found))
        return accepted

    def _add(self, version: str) -> int:
        number = int(self._lib.repo_add_solvable(self._repo))
        name, evr = self._id("p"), self._id(version)
        for key, value in (("name", name), ("arch", self._id("noarch")), ("evr", evr)):
            self._lib.repo_set_id(self._repo, number, self._id(f"solvable:{key}"), value)
        itself = self._lib.pool_rel2id(self._pool, name, evr, self._EQUAL, 1)
        self._lib.repo_add_deparray(self._repo, number, self._id("solvable:provides"), itself, 0)
        return number

    def _id(self, text: str) -> int:
        return int(self._lib.pool_str2id(self._pool, text.encode(), 1))
