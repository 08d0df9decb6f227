"""requirements.txt, as pip reads it ("Requirements File Format", pip 26): lines, options, hashes, further files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.config.builds import formats_of
from bridge.errors import UnsafeInputError, UsageError
from bridge.requirements.algebra import Requirement, parse_pypi
from bridge.requirements.files.local import NO_LINK, absolute_path, direct_requirement
from bridge.requirements.files.missing_paths import missing_path
from bridge.requirements.files.text import read_text
from bridge.requirements.files.values import Chosen, FileRequirements, unique, wrong
from bridge.requirements.typed import typed
from bridge.secrets import masked
from converters.deferred import regex

if TYPE_CHECKING:
    from bridge.cache.results import Results
    from bridge.requirements.files.pip_options import OptionParser

__all__ = ["PipLines", "read_constraints", "read_pip_file"]

MAX_FILES = 200  # that one file may lead to

_COMMENT = regex(r"(?:^|\s)#")
_VARIABLE = regex(r"\$\{([A-Z0-9_]+)\}")
_HASH = regex(r"(?P<algorithm>[a-z0-9]+):(?P<digest>[0-9a-fA-F]+)\Z")
_OPTIONS_BEGIN = regex(r"(?:^|\s)(?=--?[A-Za-z])")


class PipLines:
    """What lines of requirements.txt ask for, those of further files included.

    :param environ: for `${NAME}` in them. `ignores_missing_paths`: as in `read`.
    """

    def __init__(self, environ: Mapping[str, str], ignores_missing_paths: bool = False) -> None:
        self.environ, self.ignores_missing_paths = environ, ignores_missing_paths
        self.requirements: list[Requirement] = []
        self.constraints: list[Requirement] = []
        self.index_url: str | None = None
        self.extra_index_urls: list[str] = []
        self.find_links: list[str] = []
        self.trusted_hosts: list[str] = []
        self.no_index = self.pre = self.require_hashes = False
        self.only_binary: list[str] = []
        self.no_binary: list[str] = []
        self.hashes: dict[str, set[str]] = {}
        self.warnings: list[str] = []
        self._without_hash: list[tuple[Path, int | str, str]] = []
        self._seen: set[tuple[str, bool]] = set()
        self._open: list[str] = []
        self._parser: OptionParser | None = None

    def read_file(self, path: Path, *, is_constraint: bool = False) -> None:
        """Read a file and those it leads to, each once. Raises `UsageError` (`requirement-file`)."""
        place = os.path.realpath(path)
        if (place, is_constraint) in self._seen:
            return
        self._seen.add((place, is_constraint))
        if len(self._seen) > MAX_FILES:
            raise wrong(path, None, f"more than {MAX_FILES} files lead to one another")
        self._open.append(place)
        for number, line in _logical_lines(read_text(path)):
            self.read_line(line, path, number, is_constraint=is_constraint)
        self._open.pop()

    def read_line(self, line: str, path: Path, where: int | str, *, is_constraint: bool = False) -> None:
        """Read one line without its comment. Relative paths start from the folder of `path`."""
        if "${" in line:
            line = _VARIABLE.sub(lambda match: self._variable(match, path, where), line)
        line = line.strip()
        if not line:
            return
        begin = _OPTIONS_BEGIN.search(line)
        text, options = (line, "") if begin is None else (line[: begin.start()].strip(), line[begin.start() :])
        given = self._options(options, path, where) if options else {}
        if text:
            self._read_requirement(text, given, path, where, is_constraint=is_constraint)
        else:
            self._read_options(given, path, where, is_constraint=is_constraint)

    def _options(self, text: str, path: Path, where: int | str) -> dict[str, list[str]]:
        """Return the options of a line. Raises as `split_options`."""
        from bridge.requirements.files.pip_options import OptionParser, split_options  # noqa: PLC0415 - few lines have any

        self._parser = self._parser or OptionParser()
        return split_options(self._parser, text, path, where, self.warnings)

    def _variable(self, match: re.Match[str], path: Path, where: int | str) -> str:
        """Return the value of `${NAME}`; one that is not set stays as it is, as in pip, and is told."""
        value = self.environ.get(match[1])
        if not value:
            place = f"line {where}" if isinstance(where, int) else where
            self.warnings.append(f"{path}, {place}: the environment variable {match[1]} is not set")
        return value or match[0]

    def _read_requirement(
        self, text: str, options: Mapping[str, list[str]], path: Path, where: int | str, *, is_constraint: bool
    ) -> None:
        given = [name for name in options if name != "hash"]
        if given:
            raise wrong(path, where, f"--{given[0]} has to be on a line of its own, before the requirements")
        hashes = options.get("hash", [])
        digests = {digest for hashed in hashes if (digest := _sha256(hashed, path, where)) is not None}
        if hashes and not digests:
            raise wrong(path, where, "hashes, but none by sha256", hint="bridge verifies sha256: --hash=sha256:…")
        text = self._present(text, path, where)
        requirement = self._parse(text, path, where, is_bound=bool(digests))
        if requirement.url is not None and "#sha256=" in requirement.url:
            digests.add(requirement.url.partition("#sha256=")[2].partition("&")[0].lower())
        if digests:
            self.hashes.setdefault(requirement.name, set()).update(digests)
            self.require_hashes = self.require_hashes or bool(hashes)
        elif not is_constraint:
            self._without_hash.append((path, where, text))
        if is_constraint and requirement.extras:
            raise wrong(path, where, f"a constraint has no extras: {text}")
        (self.constraints if is_constraint else self.requirements).append(requirement)

    def _present(self, text: str, path: Path, where: int | str) -> str:
        """Return the text; for a path that is gone the project by its name, else raise `UsageError`."""
        missing = missing_path(text)
        if missing is None:
            return text
        place = f"line {where}" if isinstance(where, int) else where
        if not self.ignores_missing_paths:
            hint = "--ignore-missing-paths takes such a project by its name, and by its version where the path has one"
            problem = f"{text}: the path does not exist here; pip freeze writes the one that a package was built at"
            raise wrong(path, where, problem, hint=hint)
        version = "" if missing.has_version else ", in any version"
        self.warnings.append(f"{path}, {place}: {missing.requirement} is taken{version}: there is no {missing.path}")
        return missing.requirement

    def _parse(
        self, text: str, path: Path, where: int | str, *, is_bound: bool = False, is_editable: bool = False
    ) -> Requirement:
        base = path.absolute().parent
        try:
            direct = direct_requirement(text, base, is_editable=is_editable)
            if direct is not None:
                return direct
            # A hash is that of one file, so no other package can stand for it.
            return parse_pypi(f"pypi:{text}" if is_bound and not text.startswith("pypi:") else text)
        except (UsageError, UnsafeInputError) as error:
            raise wrong(path, where, error.message, context=error.context, hint=error.hint) from error

    def _read_options(
        self, given: Mapping[str, list[str]], path: Path, where: int | str, *, is_constraint: bool
    ) -> None:
        for value in given.get("editable", ()):
            if is_constraint:
                raise wrong(path, where, f"a constraint cannot be editable: {value}", hint="omit -e")
            self.requirements.append(self._parse(value, path, where, is_editable=True))
            if not self.requirements[-1].text.startswith("-e "):
                self.warnings.append(f"{path}: {masked(value)} {NO_LINK}")
            self._without_hash.append((path, where, value))
        if "hash" in given:
            raise wrong(path, where, "--hash without a requirement before it")
        named = set(given.get("all-releases", ())) - {":all:"}
        if named:
            hint = "name a pre-release in its version (x>=2.0b1), or write --all-releases :all:"
            raise wrong(path, where, f"--all-releases for {min(named)} alone is not supported", hint=hint)
        self.only_binary += given.get("only-binary", ())
        self.no_binary += given.get("no-binary", ())
        self.index_url = given.get("index-url", [self.index_url])[-1]
        self.extra_index_urls += given.get("extra-index-url", ())
        self.find_links += [_location(value, path.absolute().parent) for value in given.get("find-links", ())]
        self.trusted_hosts += given.get("trusted-host", ())
        self.no_index = self.no_index or "no-index" in given
        self.pre = self.pre or "pre" in given or "all-releases" in given
        self.require_hashes = self.require_hashes or "require-hashes" in given
        for value in given.get("requirement", ()):
            self._follow(value, path, where, is_constraint=is_constraint)
        for value in given.get("constraint", ()):
            self._follow(value, path, where, is_constraint=True)

    def _follow(self, value: str, path: Path, where: int | str, *, is_constraint: bool) -> None:
        if re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://", value):
            hint = "download the file, look at it, and name the copy"
            raise wrong(path, where, f"a further file is read from the disk only, not from {value}", hint=hint)
        try:
            further = absolute_path(value, path.absolute().parent)
        except (UnsafeInputError, ValueError) as error:
            raise wrong(path, where, f"{masked(value)} is not the URL of a file on this machine") from error
        if os.path.realpath(further) in self._open:
            raise wrong(path, where, f"{value} leads back to itself")
        if not further.is_file():
            raise wrong(path, where, f"there is no file {further}")
        self.read_file(further, is_constraint=is_constraint)

    def result(self) -> FileRequirements:
        """What was read. Raises `UsageError` where hashes are required and one is missing, as pip does."""
        if self.require_hashes and self._without_hash:
            path, where, text = self._without_hash[0]
            hint = "give every requirement a --hash=sha256:… (pip-compile --generate-hashes writes them), or none"
            raise wrong(path, where, f"{text} has no hash, and others have: then every one needs one", hint=hint)
        return FileRequirements(
            requirements=unique(self.requirements),
            constraints=unique(self.constraints),
            index_url=self.index_url,
            extra_index_urls=_unique(self.extra_index_urls),
            find_links=_unique(self.find_links),
            no_index=self.no_index,
            trusted_hosts=_unique(self.trusted_hosts),
            pre=self.pre,
            formats=formats_of(",".join(self.only_binary), ",".join(self.no_binary)),
            hashes={name: frozenset(digests) for name, digests in self.hashes.items()},
            require_hashes=self.require_hashes,
            warnings=_unique(self.warnings),
        )


def read_constraints(paths: Iterable[str], environ: Mapping[str, str], results: Results) -> tuple[Requirement, ...]:
    """The constraints in files that pip is configured to use. Raises `UsageError` (`requirement-file`)."""
    with typed(results) as read:
        for path in paths:
            lines = PipLines(environ)
            lines.read_file(Path(path), is_constraint=True)
            read.extend(lines.result().constraints)
    return tuple(read)


def read_pip_file(path: Path, chosen: Chosen) -> FileRequirements:
    """Read a requirements.txt. Raises `UsageError` (`requirement-file`)."""
    lines = PipLines(chosen.environ, chosen.ignores_missing_paths)
    lines.read_file(path)
    return lines.result()


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each line, continued by a backslash at the end, without comments."""
    begun: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if begun else number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            begun.append(line[:-1])
            continue
        # A comment ends what was continued: pip puts a space before it, so that it is one.
        begun.append(f" {line}" if is_comment else line)
        yield first, _COMMENT.split("".join(begun), maxsplit=1)[0]
        begun = []
    if begun:
        yield first, _COMMENT.split("".join(begun), maxsplit=1)[0]


def _sha256(hashed: str, path: Path, where: int | str) -> str | None:
    """The digest of `sha256:…`; `None` for another algorithm that pip allows."""
    match = _HASH.match(hashed)
    sizes = {"sha256": 64, "sha384": 96, "sha512": 128}
    if match is None or sizes.get(match["algorithm"]) != len(match["digest"]):
        raise wrong(path, where, f"not a hash: {hashed}", hint="write --hash=sha256: and 64 hexadecimal digits")
    return match["digest"].lower() if match["algorithm"] == "sha256" else None


def _location(value: str, base: Path) -> str:
    """A find-links location: a path that is there, from the file's folder; else as it is written."""
    return str(base / value) if "://" not in value and (base / value).exists() else value


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
