"""The rules of one policy file, and what breaks them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from bridge.config.licenses import LicenseRules
from bridge.config.policy.places import Place, normal_place
from bridge.secrets import masked
from converters.deferred import dataclass, replace

__all__ = ["Allowance", "Breach", "Publisher", "RuleFile", "Subject", "best"]

_WILD = re.compile(r"[*?\[]")
_HASH = re.compile(r"#(?:.*&)?sha(?:256|384|512)=[0-9a-f]{64,128}", re.IGNORECASE)
_COMMIT = re.compile(r"@[0-9a-f]{40,64}(?:#|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A package, as far as it is known when it is judged.

    :param label: for messages. `names`: of the package and of the projects that it provides, normalised.
    :param origin: the channel or index; empty for what a URL or a folder alone names.
    :param is_claimed: only a lock or a record says what `origin` is, and no channel or index was asked.
    :param is_source: it has to be built. `is_index_file`: an index lists it.
    :param is_license_known: whether `license` was read; a wheel's is in its METADATA.
    :param has_attestation: whether the index or channel has attestations; `None`: nobody asked it.
    """

    label: str
    names: tuple[str, ...]
    origin: str
    url: str = ""
    is_claimed: bool = False
    is_source: bool = False
    is_index_file: bool = False
    is_license_known: bool = True
    license: str | None = None
    has_hash: bool = True
    has_attestation: bool | None = None
    yanked: str | None = None
    timestamp: int | None = None

    @property
    def is_direct(self) -> bool:
        """Whether a URL or a path alone names it."""
        return not self.origin and bool(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A rule that a package breaks: the package's label, the rule, where it is written, and a sentence."""

    package: str
    rule: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.file}: {self.rule})"

    @property
    def reason(self) -> str:
        """The sentence without the package, which several may share, and the rule."""
        return f"{self.text.removeprefix(self.package).strip()} ({self.file}: {self.rule})"

    def to_json(self) -> dict[str, object]:
        """The breach as JSON has it."""
        return {"package": self.package, "rule": self.rule, "file": self.file, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Which packages a rule admits; `patterns` `None`: all."""

    patterns: tuple[str, ...] | None = None

    def admits(self, names: Iterable[str]) -> bool:
        """Return whether a package of these names is admitted."""
        return self.patterns is None or any(best(self.patterns, name) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Who must have attested a package (PEP 740); all empty: anybody whose identity the index and Sigstore confirm.

    :param kind: `GitHub`, `GitLab`, `Google`, `ActiveState`, in any case.
    :param channel: for which they published a conda package (`targetChannel` of CEP 27); in a rule, if it is not the
        channel that serves the package.
    """

    kind: str = ""
    repository: str = ""
    workflow: str = ""
    environment: str = ""
    email: str = ""
    channel: str = ""

    @property
    def is_anybody(self) -> bool:
        """Whether it names neither a repository nor a person."""
        return not (self.repository or self.email)

    def admits(self, other: Publisher) -> bool:
        """Return whether a publisher is the one that this rule names, for whichever channel."""
        exact = all(not own or own == stated for own, stated in zip(self._exact, other._exact, strict=True))
        return exact and all(
            not own or own.lower() == stated.lower() for own, stated in zip(self._folded, other._folded, strict=True)
        )

    @property
    def _exact(self) -> tuple[str, ...]:
        return (self.workflow, self.environment)

    @property
    def _folded(self) -> tuple[str, ...]:
        return (self.kind, self.repository, self.email)

    def __str__(self) -> str:
        parts = (self.kind, self.repository, self.workflow, self.environment, self.email)
        return " ".join(part for part in parts if part) or "anybody"

    def to_json(self) -> dict[str, str]:
        """The publisher as conda-meta keeps it; what is unknown is left out."""
        texts = {"publisher": self.kind, "repository": self.repository, "workflow": self.workflow}
        texts |= {"environment": self.environment, "email": self.email, "channel": self.channel}
        return {key: text for key, text in texts.items() if text}

    @classmethod
    def of_json(cls, document: object) -> Publisher | None:
        """Read what `to_json` wrote; `None` if it is something else."""
        if not isinstance(document, Mapping):
            return None
        texts = {key: value for key, value in document.items() if isinstance(value, str)}
        return cls(
            kind=texts.get("publisher", ""),
            repository=texts.get("repository", ""),
            workflow=texts.get("workflow", ""),
            environment=texts.get("environment", ""),
            email=texts.get("email", ""),
            channel=texts.get("channel", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """One policy file.

    :param shown: the file's name. `table`: the keys down to its rules.
    :param origins: pattern → the only places for packages of such names.
    :param sources: place → the only names that it may serve.
    :param files: place → where its archives are, if not on its own host.
    :param cooldown: pattern → milliseconds since the epoch; `None`: no limit.
    :param trusted_root: of Sigstore, for `attestations`; `None`: the library's.
    """

    shown: str
    table: str = ""
    origins: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    sources: tuple[tuple[Place, tuple[str, ...]], ...] = ()
    files: tuple[tuple[Place, tuple[Place, ...]], ...] = ()
    licenses: LicenseRules | None = None
    license_exceptions: tuple[str, ...] = ()
    cooldown: Mapping[str, int | None] = field(default_factory=dict)
    builds: Allowance = field(default_factory=Allowance)
    link_scripts: Allowance = field(default_factory=Allowance)
    clobber: Allowance = field(default_factory=Allowance)
    unhashed: Allowance = field(default_factory=Allowance)
    denies_yanked: bool = False
    attestations: Mapping[str, Publisher] = field(default_factory=dict)
    trusted_root: Path | None = None

    def located(self, expand: Callable[[str], Iterable[str]]) -> RuleFile:
        """Return the rules with the channels that the names of places mean."""
        return replace(
            self,
            origins={
                pattern: tuple(place.located(expand) for place in places) for pattern, places in self.origins.items()
            },
            sources=tuple((place.located(expand), patterns) for place, patterns in self.sources),
            files=tuple((place.located(expand), places) for place, places in self.files),
        )

    def breach(self, rule: str, label: str, text: str) -> Breach:
        """Return a breach of a rule of this file."""
        return Breach(package=label, rule=f"{self.table}{rule}", file=self.shown, text=text)

    def breaches(self, subject: Subject) -> Iterator[Breach]:
        """Yield what a package breaks."""
        for rule, text in (*self._of_place(subject), *self._of_file(subject)):
            yield self.breach(rule, subject.label, f"{subject.label} {text}")

    def may_serve(self, names: Sequence[str], origin: str) -> bool:
        """Return whether a channel or index may serve packages of these names."""
        return not any(self._misplaced(names, normal_place(origin)))

    def bindings(self, names: Iterable[str]) -> list[str]:
        """Return what the rules say of where packages of these names may come from."""
        bindings = []
        for name in names:
            if (pattern := best(self.origins, name)) is not None:
                where = _listed(self.origins[pattern])
                bindings.append(
                    f"{name} may come only from {where} ({self.shown}: {self.table}{_key('origins', pattern)})"
                )
        return list(dict.fromkeys(bindings))

    def cutoff(self, names: Sequence[str]) -> int | None:
        """Return the earliest moment after which packages of these names are too new."""
        limits = [self.cooldown[pattern] for name in names if (pattern := best(self.cooldown, name)) is not None]
        return min((limit for limit in limits if limit is not None), default=None)

    def publisher(self, names: Sequence[str]) -> tuple[str, Publisher] | None:
        """Return the rule on attestations for packages of these names."""
        patterns = (pattern for name in names if (pattern := best(self.attestations, name)) is not None)
        pattern = next(patterns, None)
        return None if pattern is None else (_key("attestations", pattern), self.attestations[pattern])

    def _misplaced(self, names: Sequence[str], place: str) -> Iterator[tuple[str, str]]:
        shown = f"comes from {masked(place)}" if place else "has no known origin"
        for name in names:
            pattern = best(self.origins, name)
            if pattern is not None and not any(self._covers(each, place) for each in self.origins[pattern]):
                where = _listed(self.origins[pattern])
                yield _key("origins", pattern), f"{shown}, and {name} may come only from {where}"
        for source, patterns in self.sources:
            if source.has(place):
                foreign = [name for name in names if best(patterns, name) is None]
                if foreign:
                    yield _key("sources", source.text), f"{shown}, which may not serve {foreign[0]}"

    def _covers(self, allowed: Place, place: str) -> bool:
        """Return whether a place is an allowed one, or where that keeps its archives: a lock may name only these."""
        if allowed.has(place):
            return True
        return any(each.has(place) for known, places in self.files if known.text == allowed.text for each in places)

    def _of_place(self, subject: Subject) -> Iterator[tuple[str, str]]:
        place = normal_place(subject.origin or subject.url)
        breaches = list(self._misplaced(subject.names, place))
        yield from breaches
        is_bound = any(best(self.origins, name) is not None for name in subject.names)
        if (
            subject.is_claimed
            and is_bound
            and not breaches
            and subject.origin
            and not self._is_archive_of(subject, place)
        ):
            yield (
                _key("files", subject.origin),
                f"is said to be from {masked(subject.origin)}, and its archive is at {masked(subject.url)}",
            )

    def _is_archive_of(self, subject: Subject, origin: str) -> bool:
        """Return whether an archive is where its channel or index keeps files, as far as the policy says.

        A lock can name any index beside any URL. Of the default index, whose files are on another host, only a rule of
        `files` tells.
        """
        url = normal_place(subject.url)
        stated = [places for place, places in self.files if place.has(origin)]
        if stated:
            return any(each.has(url) for each in (*stated[0], Place(text=origin, urls=(origin,))))
        if any(place.text == "pypi" and place.has(origin) for places in self.origins.values() for place in places):
            return True
        return urlsplit(url).netloc == urlsplit(origin).netloc or "://" not in origin or not url

    def _of_file(self, subject: Subject) -> Iterator[tuple[str, str]]:
        if subject.is_source and not self.builds.admits(subject.names):
            yield "builds", "would have to be built"
        if not self.unhashed.admits(subject.names) and not _is_hashed(subject):
            yield "hashes", "has no hash that its index, channel, lock or request states"
        if self.denies_yanked and subject.yanked is not None:
            yield "yanked", f"was yanked: {subject.yanked or 'no reason given'}"
        limit = self.cutoff(subject.names) if self.cooldown else None
        if limit is not None and subject.timestamp is None and subject.is_index_file:
            yield "cooldown", "has no upload time on its index"
        elif limit is not None and subject.timestamp is not None and subject.timestamp > limit:
            yield "cooldown", "is too new"
        if subject.has_attestation is False and (rule := self.publisher(subject.names)) is not None:
            yield rule[0], "has no attestation"
        if self.licenses is None or not subject.is_license_known:
            return
        problem = self.licenses.problem(subject.license)
        if problem is not None and not Allowance(patterns=self.license_exceptions).admits(subject.names):
            yield "licenses", f"has a licence that is refused: {problem}"


def best(patterns: Collection[str], name: str) -> str | None:
    """Return the pattern that says most about a normalised name: itself, else the longest that fits."""
    if name in patterns:
        return name
    # Each pattern that is matched is compiled first, and most rules are about one name.
    fitting = [each for each in patterns if _WILD.search(each) and fnmatchcase(name, each)]
    return max(fitting, key=lambda each: len(each.replace("*", "").replace("?", "")), default=None)


def _is_hashed(subject: Subject) -> bool:
    if subject.is_direct and not subject.is_claimed:
        return bool(_HASH.search(subject.url) or (subject.url.startswith("git+") and _COMMIT.search(subject.url)))
    return subject.has_hash


def _key(table: str, key: str) -> str:
    return f'{table}."{masked(key)}"' if re.search(r"[^A-Za-z0-9_-]", key) else f"{table}.{key}"


def _listed(places: Sequence[Place]) -> str:
    return " or ".join(masked(each.text) for each in places) or "nowhere"
