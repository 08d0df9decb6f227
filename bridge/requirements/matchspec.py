"""MatchSpecs, parsed once and matched by conda's version order (`conda.models.match_spec`, CEP 29, CEP 43).

rattler's `MatchSpec`, `Version` and `VersionSpec` are pure; nothing here does I/O.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

from bridge.channels.panics import as_value_error
from bridge.config.channel_names import ends_with
from bridge.errors import UsageError
from bridge.requirements.conda_versions import VersionClauses, conda_version, read_plain_clauses
from converters.deferred import dataclass, regex
from converters.record import Record

if TYPE_CHECKING:
    from rattler import MatchSpec

__all__ = ["MAX_TEXT", "CondaSpec", "conda_version", "conditions_of", "parse_conda", "positional_text"]

MAX_TEXT = 4096  # characters of one requirement; real ones stay below 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaSpec:
    """A parsed MatchSpec. `build` and `build_number` are predicates on a record's.

    `channel` is a name or a URL; `origins` are the origins of the channels that it names in this run: without them,
    every origin that ends with the name fits.
    """

    text: str
    name: str
    versions: VersionClauses | None = None
    build: Callable[[str], object] | None = None
    build_number: Callable[[int], bool] | None = None
    channel: str | None = None
    origins: frozenset[str] = frozenset()
    subdir: str | None = None
    extras: tuple[str, ...] = ()
    condition: str | None = None
    artifact: tuple[tuple[str, str], ...] = ()  # what its file must be: `sha256`, `md5`, `url`, `fn`, `license`, …

    @property
    def names_a_build(self) -> bool:
        """Whether only a conda record can meet it: a wheel has no build, channel or subdir."""
        return bool(self.channel or self.names_a_file)

    @property
    def names_a_file(self) -> bool:
        """Whether it has clauses that no wheel of a channel has: build, subdir, or on the file."""
        return bool(self.build or self.build_number or self.subdir or self.artifact)

    @property
    def url(self) -> str | None:
        """The URL of the only package that can meet it, if it names one."""
        return dict(self.artifact).get("url")

    def accepts_version(self, version: str) -> bool:
        """Match the version of a conda record or of a wheel, by conda's order."""
        if self.versions is None:
            return True
        parsed = conda_version(version)
        return parsed is not None and self.versions.match(parsed)

    def accepts_build(self, build: str, build_number: int, origin: str = "", subdir: str = "") -> bool:
        """Match the other clauses. `origin` is the channel's URL or name."""
        if self.build is not None and not self.build(build):
            return False
        if self.build_number is not None and not self.build_number(build_number):
            return False
        if self.subdir is not None and subdir != self.subdir:
            return False
        return self.accepts_channel(origin)

    def accepts_channel(self, origin: str) -> bool:
        """Match the channel clause. `origin` is the channel's URL or name."""
        if self.channel is None:
            return True
        return origin in self.origins if self.origins else ends_with(origin, self.channel)

    def accepts_artifact(self, record: Record) -> bool:
        """Match the clauses on the file itself. A record without the field does not match."""
        return all(_ARTIFACT[field](record, value) for field, value in self.artifact)


_ARTIFACT: dict[str, Callable[[Record, str], bool]] = {
    "sha256": lambda record, value: record.sha256 == value.lower(),
    "md5": lambda record, value: record.md5 == value.lower(),
    "url": lambda record, value: record.url == value,
    "fn": lambda record, value: record.filename == value,
    "license": lambda record, value: record.license == value,
    "track_features": lambda record, value: set(re.split(r"[\s,]+", value)) <= set(record.track_features),
}
_JUDGED = {"version", "build", "build_number", "channel", "subdir", "extras", "when", *_ARTIFACT}
_FIELD = regex(r"""(\w+)=(?:"((?:[^"\\]|\\.)*)"|\[[^\]]*\]|[^,\]]*)[,\]]""")
_NUMBER = regex(r"\d{19,}")  # digits that overflow rattler's 64 bits; it panics over some of them
_NAME = regex(r"[a-z_][a-z0-9_-]*")  # a MatchSpec that is a name and nothing else
_PLAIN = regex(
    r"(?P<name>[a-z_][a-z0-9_-]*)(?: +|(?=[<>=!]))"
    r"(?!\S*(?<![<>=!])=\d\S* )"  # `=1.2` means another thing before a build
    r"(?P<versions>[0-9.*,<>=!]+)(?: (?P<build>\*?[a-z0-9_]+\*?))?"
)
_NO_BUILD = regex(r"""[\s;,"'@\[\]]""")


def _artifact(spec: MatchSpec, text: str) -> tuple[tuple[str, str], ...]:
    """Return the clauses on the file, from brackets or a URL. Raises `ValueError` for an unsupported field."""
    if "[" not in text and "://" not in text:
        return ()
    fields: dict[str, str] = dict(_FIELD.findall(spec.to_canonical_string().partition("[")[2]))
    if unknown := sorted(fields.keys() - _JUDGED):
        raise ValueError(f"bridge does not support the field `{unknown[0]}`")
    if "url" in fields and "#" in text:
        fields |= _hash(text.rpartition("#")[2])
    return tuple((field, value) for field, value in fields.items() if field in _ARTIFACT)


def _hash(fragment: str) -> dict[str, str]:
    """Parse the hash behind a URL as in explicit lock files: an md5, or a sha256 with or without that prefix."""
    value = fragment.removeprefix("sha256:").lower()
    kind = {32: "md5", 64: "sha256"}.get(len(value))
    if kind is None or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"{fragment!r} is not a hash")
    return {kind: value}


@cache
def parse_conda(text: str) -> CondaSpec:
    """Parse a MatchSpec. Raises `UsageError` (`invalid-matchspec`)."""
    if len(text) > MAX_TEXT:
        raise UsageError("invalid-matchspec", f"a MatchSpec of {len(text)} characters is too long to be read")
    if _NAME.fullmatch(text):
        return CondaSpec(text=text, name=text)
    plain = _PLAIN.fullmatch(text)
    if plain is not None and (clauses := read_plain_clauses(plain["versions"])) is not None:
        return CondaSpec(text=text, name=plain["name"], versions=clauses, build=_build_matcher(plain["build"]))
    from rattler.match_spec import MatchSpec  # noqa: PLC0415 - slow to import

    try:
        with as_value_error():
            spec = MatchSpec(_readable(text))
            versions = VersionClauses(str(spec.version)) if spec.version and spec.version != "*" else None
            number = str(spec.build_number) if spec.build_number else None
            artifact = _artifact(spec, text)
        build = _build_matcher(spec.build)
    except ValueError as error:
        raise UsageError("invalid-matchspec", f"not a MatchSpec: {text!r}", context=(str(error),)) from error
    if spec.name is None:
        raise UsageError("invalid-matchspec", f"a MatchSpec without a name: {text!r}")
    if spec.namespace:
        # No client reads a namespace; without this, `numpy:1.2` asks for a package with the name 1.2.
        problem = f"a MatchSpec with a namespace, which no channel has: {text!r}"
        hint = f"write a version after `=` ({spec.namespace}=VERSION), a channel before `::`"
        raise UsageError("invalid-matchspec", problem, hint=hint)
    return CondaSpec(
        text=text,
        name=str(getattr(spec.name, "normalized", spec.name)),
        versions=versions,
        build=build,
        build_number=_number_matcher(number) if number else None,
        channel=_channel_of(spec, text),
        subdir=spec.subdir,
        extras=tuple(spec.extras or ()),
        condition=str(spec.condition) if spec.condition is not None else None,
        artifact=artifact,
    )


def positional_text(text: str) -> str:
    """Return a MatchSpec that `parse_conda` reads in CEP 29's positional form (`numpy >=2`), which `depends` has."""
    from rattler.match_spec import MatchSpec  # noqa: PLC0415

    return str(MatchSpec(_readable(text)))


_CONDITION = regex(r"\s*(\(|\)|and\b|or\b|(?:(?!\b(?:and|or)\b)[^()])+)")
_MAX_ALTERNATIVES = 64
_Alternatives = list[tuple[CondaSpec, ...]]


def conditions_of(spec: CondaSpec) -> _Alternatives:
    """Parse the condition of a MatchSpec (`when`, CEP 43) into alternatives, each a conjunction of MatchSpecs.

    Raises `UsageError` (`invalid-matchspec`) for an invalid condition, or one with more than 64 alternatives.
    """
    tokens = [token.strip() for token in _CONDITION.findall(spec.condition or "")]
    tokens = [token for token in tokens if token]
    alternatives = _any_of(tokens, spec)
    if tokens:
        raise _no_condition(spec)
    return alternatives


def _no_condition(spec: CondaSpec) -> UsageError:
    return UsageError("invalid-matchspec", f"not a readable condition: {spec.text!r}")


def _any_of(tokens: list[str], spec: CondaSpec) -> _Alternatives:
    alternatives = _all_of(tokens, spec)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        alternatives = alternatives + _all_of(tokens, spec)
    return alternatives


def _all_of(tokens: list[str], spec: CondaSpec) -> _Alternatives:
    alternatives = _one_of(tokens, spec)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        others = _one_of(tokens, spec)
        alternatives = [one + other for one in alternatives for other in others]
        if len(alternatives) > _MAX_ALTERNATIVES:
            raise _no_condition(spec)
    return alternatives


def _one_of(tokens: list[str], spec: CondaSpec) -> _Alternatives:
    token = tokens.pop(0) if tokens else ")"
    if token == "(":
        alternatives = _any_of(tokens, spec)
        if not tokens or tokens.pop(0) != ")":
            raise _no_condition(spec)
        return alternatives
    if token in {")", "and", "or"}:
        raise _no_condition(spec)
    return [(parse_conda(token),)]


def _readable(text: str) -> str:
    """Return `text` unless rattler would panic on it. Raises `ValueError`."""
    if "build_number" in text and _NUMBER.search(text):
        raise ValueError("a build number has at most 18 digits")
    return text


def _build_matcher(build: str | None) -> Callable[[str], object] | None:
    """Return a predicate on build strings for a glob or `^regex$`. Raises `ValueError` for anything else."""
    if build is None or build == "*":
        return None
    if not (build.startswith("^") and build.endswith("$")):
        if not build.startswith("^") and _NO_BUILD.search(build):
            raise ValueError(f"{build!r} is not a build string")
        return re.compile(fnmatch.translate(build)).match
    # The regex is a channel's: python's engine may backtrack for ever; rattler's stops after a number of steps.
    _regex_matches(build, "probe")
    return partial(_accepts_by_regex, build)


@lru_cache(maxsize=65536)
def _accepts_by_regex(regex: str, build: str) -> bool:
    try:
        return _regex_matches(regex, build)
    except ValueError:  # a build string outside CEP 26
        return False


def _regex_matches(regex: str, build: str) -> bool:
    """Return whether `regex` matches by rattler's engine. Raises `ValueError` if it cannot read either."""
    from rattler.match_spec import MatchSpec  # noqa: PLC0415
    from rattler.package import BuildString  # noqa: PLC0415
    from rattler.repo_data import PackageRecord  # noqa: PLC0415

    with as_value_error():
        record = PackageRecord(
            name="x", version="1", build=BuildString(build), build_number=0, subdir="noarch",
            arch=None, platform=None, noarch=None,
        )  # fmt: skip
        return MatchSpec(f"x * {regex}").matches(record)


_COMPARISON = regex(r"(==|!=|>=|<=|>|<)(\d+)")
_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def _number_matcher(text: str) -> Callable[[int], bool]:
    """Return a predicate for rattler's canonical text (`>=3`). Raises `UsageError` (`invalid-matchspec`)."""
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise UsageError("invalid-matchspec", f"not a comparison of build numbers: {text!r}")
    compare, bound = _OPERATORS[match[1]], int(match[2])
    return lambda number: compare(number, bound)


def _channel_of(spec: MatchSpec, text: str) -> str | None:
    """Return the clause on the channel: the URL if the text has it, or a path; else the name, whose host is a guess.

    `*::NAME` means any channel, as in conda.
    """
    if spec.channel is None or spec.channel.name == "*":
        return None
    name, url = str(spec.channel.name), str(spec.channel.base_url).rstrip("/")
    is_url = "://" in text and url.partition("://")[2].lower() in text.lower()
    return url if is_url or name.startswith(("/", "./", "../", "~")) else name
