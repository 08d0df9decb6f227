"""Reads policy files: `bridge-policy.toml`, and `[tool.bridge.policy]` of a pyproject.toml. Each key is checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NoReturn

from bridge.config.indexes import default_index
from bridge.config.licenses import UNKNOWN, LicenseRules
from bridge.config.moments import parse_cutoff
from bridge.config.policy import Policy
from bridge.config.policy.places import Place
from bridge.config.policy.rules import Allowance, Publisher, RuleFile
from bridge.config.project import read_toml
from bridge.errors import UsageError, did_you_mean
from bridge.secrets import SECRETS, masked
from converters.projects import canonicalize_name

__all__ = ["parse_rules", "read_policy", "read_rules"]

_TABLE = ("tool", "bridge", "policy")
_KEYS = (
    "attestations", "builds", "clobber", "cooldown", "files", "hashes", "licenses", "link-scripts", "origins",
    "sources", "trusted-root", "yanked",
)  # fmt: skip
_LICENSES = ("allow", "deny", "exceptions", "unknown")
_PUBLISHER = {"publisher": "kind", "repository": "repository", "workflow": "workflow", "environment": "environment",
              "email": "email", "channel": "channel"}  # fmt: skip


def read_policy(named: Sequence[Path], candidates: Iterable[Path], now: float) -> Policy | None:
    """Return the policy of the named files, and of the first candidate that has one.

    :param candidates: of the project, the nearest first. `now`: seconds since the epoch, for durations.
    :raises UsageError: `policy-file`: a file cannot be read, or a key or a value is wrong.
    """
    nearest = next((path for path in candidates if path.name != "pyproject.toml" or _has_table(path)), None)
    paths = [*named, *([nearest] if nearest is not None else [])]
    files = tuple(read_rules(path, now) for path in dict.fromkeys(map(os.path.abspath, paths)))
    return Policy(files=files) if files else None


def _has_table(project: Path) -> bool:
    try:
        return _table_of(read_toml(project, "policy-file")) is not None
    except UsageError:
        return False  # The reader of the project's settings says what is wrong.


def _table_of(document: object) -> object:
    for key in _TABLE:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def read_rules(path: Path | str, now: float) -> RuleFile:
    """Read a policy file, or the table of a pyproject.toml. Raises `UsageError` (`policy-file`)."""
    path = Path(os.path.abspath(path))
    document: object = read_toml(path, "policy-file")
    prefix = ""
    if path.name == "pyproject.toml":
        document, prefix = _table_of(document), ".".join(_TABLE) + "."
    if not isinstance(document, Mapping):
        raise UsageError("policy-file", f"{path} has no table [{'.'.join(_TABLE)}]")
    return parse_rules(document, path, now, prefix=prefix)


def parse_rules(document: Mapping[str, object], path: Path, now: float, *, prefix: str = "") -> RuleFile:
    """Check a document and return its rules. Raises `UsageError` (`policy-file`).

    :param path: of the file; places that are paths start from its folder. `prefix`: of its keys, for messages.
    """
    reader = _Reader(document, path, now, prefix)
    reader.check_keys(document, _KEYS, "")
    return RuleFile(
        shown=_shown(path),
        table=prefix,
        origins=reader.origins(),
        sources=reader.sources(),
        files=reader.files(),
        licenses=reader.licenses(),
        license_exceptions=reader.names_in("licenses", "exceptions"),
        cooldown=reader.cooldown(),
        builds=reader.allowance("builds"),
        link_scripts=reader.allowance("link-scripts"),
        clobber=reader.allowance("clobber"),
        unhashed=reader.unhashed(),
        denies_yanked=reader.word("yanked", ("allow", "deny"), "allow") == "deny",
        attestations=reader.attestations(),
        trusted_root=reader.trusted_root(),
    )


def _shown(path: Path) -> str:
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return str(path)
    return str(path) if relative.startswith("..") else relative


class _Reader:
    """Reads the keys of one document."""

    def __init__(self, document: Mapping[str, object], path: Path, now: float, prefix: str) -> None:
        self._document, self._path, self._now, self._prefix = document, path, now, prefix

    def wrong(self, key: str, problem: str) -> NoReturn:
        """Raise the error for a key."""
        raise UsageError(
            "policy-file",
            f"{self._path}: {self._prefix}{key}: {problem}",
            hint=f"the keys of a policy: {', '.join(_KEYS)}",
            objects={"file": str(self._path), "key": key},
        )

    def check_keys(self, table: Mapping[str, object], known: Sequence[str], within: str) -> None:
        """Refuse an unknown key: a rule that has no effect because it is misspelt protects nobody."""
        for key in table:
            if key not in known:
                question = did_you_mean(key.replace("_", "-"), known)
                self.wrong(f"{within}{key}", "; ".join(filter(None, ("there is no such key", question))))

    def table(self, key: str) -> Mapping[str, object]:
        """Return the table of a key; empty if it is absent."""
        value = self._document.get(key, {})
        if not isinstance(value, Mapping):
            self.wrong(key, "a table was expected")
        return value

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        """Return a text, or several, as a tuple."""
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) and each.strip() for each in values):
            self.wrong(key, "a text or an array of texts was expected")
        return tuple(values)

    def names(self, key: str, value: object) -> tuple[str, ...]:
        """Return names and patterns, normalised."""
        return tuple(dict.fromkeys(map(canonicalize_name, self.texts(key, value))))

    def names_in(self, table: str, key: str) -> tuple[str, ...]:
        """Return names of a key in a table."""
        values = self.table(table)
        return self.names(f"{table}.{key}", values[key]) if key in values else ()

    def place(self, key: str, text: str) -> Place:
        """Return a place."""
        try:
            return Place.of(SECRETS.kept_public(text), self._path.parent, default_index)
        except ValueError as error:
            self.wrong(key, str(error))

    def origins(self) -> dict[str, tuple[Place, ...]]:
        """Return pattern → places."""
        places: dict[str, tuple[Place, ...]] = {}
        for pattern, value in self.table("origins").items():
            key = f"origins.{pattern}"
            places[self._pattern(key, pattern, places)] = tuple(
                self.place(key, text) for text in self.texts(key, value)
            )
        return places

    def _pattern(self, key: str, pattern: str, known: Mapping[str, object]) -> str:
        name = canonicalize_name(pattern.strip())
        if not name:
            self.wrong(key, "an empty name")
        if name in known:
            self.wrong(key, f"{name} has a rule already")
        return name

    def sources(self) -> tuple[tuple[Place, tuple[str, ...]], ...]:
        """Return place → the names that it may serve."""
        return tuple(
            (self.place(f"sources.{text}", text), self.names(f"sources.{masked(text)}", value))
            for text, value in self.table("sources").items()
        )

    def files(self) -> tuple[tuple[Place, tuple[Place, ...]], ...]:
        """Return place → where its archives are."""
        return tuple(
            (
                self.place(f"files.{text}", text),
                tuple(self.place(f"files.{text}", each) for each in self.texts(f"files.{masked(text)}", value)),
            )
            for text, value in self.table("files").items()
        )

    def licenses(self) -> LicenseRules | None:
        """Return the rules on licences; `None` if there are none."""
        table = self.table("licenses")
        if not table:
            return None
        self.check_keys(table, _LICENSES, "licenses.")
        allow, deny = (self.texts(f"licenses.{key}", table.get(key, [])) for key in ("allow", "deny"))
        unknown = table.get("unknown")
        if unknown not in {None, "allow", "deny"}:
            self.wrong("licenses.unknown", '"allow" or "deny" was expected')
        allow += (UNKNOWN,) if allow and unknown == "allow" else ()
        deny += (UNKNOWN,) if unknown == "deny" else ()
        try:
            return LicenseRules(allow=allow, deny=deny)
        except ValueError as error:
            self.wrong("licenses", str(error))

    def cooldown(self) -> dict[str, int | None]:
        """Return pattern → moment."""
        value = self._document.get("cooldown", {})
        table = value if isinstance(value, Mapping) else {"*": value}
        seconds: dict[str, int | None] = {}
        for pattern, moment in table.items():
            key = "cooldown" if table is not value else f"cooldown.{pattern}"
            name = self._pattern(key, "*" if pattern == "default" else pattern, seconds)
            text = moment.isoformat() if isinstance(moment, date) else moment
            if not isinstance(text, str):
                self.wrong(key, 'a duration ("7 days"), a date or "never" was expected')
            try:
                seconds[name] = None if text.strip() == "never" else parse_cutoff(text, self._now)
            except ValueError as error:
                self.wrong(key, f"{text!r} is not {error}")
        return seconds

    def word(self, key: str, known: Sequence[str], default: str) -> str:
        """Return the value of a key that has few."""
        value = self._document.get(key, default)
        if value not in known:
            self.wrong(key, f"{' or '.join(map(repr, known))} was expected, not {value!r}")
        return str(value)

    def allowance(self, key: str) -> Allowance:
        """Return what `allow`, `deny` or names admit."""
        value = self._document.get(key, "allow")
        if isinstance(value, str) and value in {"allow", "deny"}:
            return Allowance(patterns=None if value == "allow" else ())
        if not isinstance(value, list):
            self.wrong(key, f'"allow", "deny" or an array of names was expected, not {value!r}')
        return Allowance(patterns=self.names(key, value))

    def unhashed(self) -> Allowance:
        """Return which packages need no hash: those that `hashes` does not name."""
        table = self._document.get("hashes", "allow")
        if isinstance(table, Mapping):
            self.check_keys(table, ("require", "except"), "hashes.")
            if table.get("require") is not True:
                self.wrong("hashes.require", "true was expected")
            return Allowance(patterns=self.names("hashes.except", table.get("except", [])))
        return Allowance(patterns=None if self.word("hashes", ("allow", "require"), "allow") == "allow" else ())

    def attestations(self) -> dict[str, Publisher]:
        """Return pattern → who must have attested."""
        value = self._document.get("attestations", {})
        if isinstance(value, (str, list)):
            return dict.fromkeys(self.names("attestations", value), Publisher())
        publishers: dict[str, Publisher] = {}
        for pattern, rule in self.table("attestations").items():
            key = f"attestations.{pattern}"
            publishers[self._pattern(key, pattern, publishers)] = self._publisher(key, rule)
        return publishers

    def trusted_root(self) -> Path | None:
        """Return the path of the trust root, which starts from the file's folder."""
        value = self._document.get("trusted-root")
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.wrong("trusted-root", "a path was expected")
        return self._path.parent / os.path.expanduser(value)

    def _publisher(self, key: str, rule: object) -> Publisher:
        if rule is True:
            return Publisher()
        if not isinstance(rule, Mapping):
            self.wrong(key, "true or a table of the publisher was expected")
        self.check_keys(rule, tuple(_PUBLISHER), f"{key}.")
        texts = {name: self.texts(f"{key}.{name}", value) for name, value in rule.items()}
        if any(len(each) != 1 for each in texts.values()):
            self.wrong(key, "one text was expected for each key")
        publisher = Publisher(**{_PUBLISHER[name]: each[0] for name, each in texts.items()})
        if publisher.channel and "://" not in publisher.channel:
            self.wrong(f"{key}.channel", "the URL of a channel was expected")
        return publisher
