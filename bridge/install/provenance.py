"""The bytes that record where an installed wheel comes from: conda-meta JSON, RECORD, history.

Pure. Standard keys in standard places only (PEP 376, PEP 610, PEP 627; conda's and rattler's `PrefixRecord`), so that
conda, rattler and pip read them as their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from packaging import requirements as pep508
from packaging import specifiers

from bridge.install.record_text import path_row, record_bytes
from bridge.model import Entry, Installed, Resolved
from bridge.paths import META, NO_CHANNEL
from bridge.prefix.chosen import of_installation
from bridge.prefix.history import requested_specs
from bridge.prefix.revisions import identity_of, parse_revisions, state_after
from bridge.prefix.yielded import of_yielded
from bridge.requirements.algebra import marker_holds, split_binding
from bridge.sdists.location import pinned, source_of
from bridge.secrets import masked, public
from converters.deferred import regex
from converters.errors import BridgeError, UnsafeInputError
from converters.names import NameMap
from converters.projects import canonicalize_name
from converters.purls import wheel_purl
from converters.record import Record
from converters.target import Target
from converters.versions import to_matchspec, to_version_spec

__all__ = [
    "HARD_LINK",
    "INSTALLER",
    "conda_depends",
    "conda_meta",
    "conda_package",
    "history",
    "meta_path",
    "snapshot_record",
    "wheel_package",
    "with_unrecorded",
]

INSTALLER = b"bridge\n"

WHEEL_TYPE = "virtual_python_wheel"  # of conda's PackageType
HARD_LINK = 1  # of conda's LinkType
PYPI = "pypi"  # conda's subdir and channel for packages of pip
_SPEC = regex(r"[\w.-]+\s*([=<>!~ ].*)?\Z")


def meta_path(record: Record) -> str:
    """Return `conda-meta/NAME-VERSION-BUILD.json`, the only name conda recognises."""
    return f"{META}/{record.identity}.json"


def conda_meta(
    record: Record,
    entries: Iterable[Entry],
    *,
    depends: Sequence[str] = (),
    requested: Sequence[str] = (),
    choice: str = "",
    source: str = "",
    yielded: Iterable[str] = (),
) -> bytes:
    """Return the conda-meta JSON of an installed wheel. Unknown values are left out: a `null` breaks other readers.

    Three fields have the form that other clients need:

    * `fn` is `NAME-VERSION-BUILD.conda`: conda up to 26.5 and mamba 2 look for the record under `fn` less its suffix.
    * `package_type` makes conda's exporters list the package below `pip:`.
    * `channel` is conda's placeholder for "no channel": conda would request repodata from an index, and mamba 2 leaves
      the files of a package whose channel contains `pypi` to pip.

    The wheel's file name and its index are qualifiers of its first purl (`converters.purls`).

    :param entries: every path of the package except this file, with hashes; written sorted by path.
    :param depends: MatchSpecs (`depends`); the record's own requirements are PEP 508.
    :param requested: the texts of the user's requests.
    :param choice: why no conda package was chosen (`Resolved.choice`); else what the record states of it stays.
    :param source: a directory that describes the package to conda-pack; empty: none.
    :param yielded: paths that it left to other packages.

    Raises `ValueError` for a record without a URL: conda's and rattler's need one.
    """
    if "://" not in record.url:
        raise ValueError(f"{record.identity} has no URL")
    sorted_entries = sorted(entries, key=lambda entry: entry.path)
    document: dict[str, object] = {
        **_package(record),
        "depends": list(depends),
        "constrains": list(record.constraints),
        **wheel_package(record, requested),
        "sha256": record.sha256,
        "md5": record.md5,
        "size": record.size,
        "license": record.license,
        "timestamp": record.timestamp,
        **of_installation(record, choice),
        **of_yielded(yielded),
        "link": {"source": source, "type": HARD_LINK},
        "files": [entry.path for entry in sorted_entries],
        "paths_data": {"paths": [], "paths_version": 1},
    }
    known = {key: value for key, value in document.items() if value is not None}
    return record_bytes(known, [path_row(entry) for entry in sorted_entries])


def _package(record: Record) -> dict[str, object]:
    keys = ("name", "version", "build", "build_number", "subdir", "noarch")
    return {key: getattr(record, key) for key in keys}


def wheel_package(record: Record, requested: Sequence[str] = ()) -> dict[str, object]:
    """The keys of a wheel's conda-meta JSON whose form other clients determine; see `conda_meta`."""
    return {
        "package_type": WHEEL_TYPE,
        "url": public(record.url),
        "channel": NO_CHANNEL,
        "fn": f"{record.identity}.conda",
        "purls": _purls(record),
        **_requests(record, requested),
    }


def conda_package(record: Record, requested: Sequence[str] = ()) -> dict[str, object]:
    """The keys of a conda package's conda-meta JSON, as its channel states them.

    Channels correct dependencies of published packages (repodata patches), and solvers use the channel, so conda-meta
    has the channel's record and not the archive's index.json (CEP 36; as conda and rattler). Unknown values are left
    out: mamba reads no `null`.
    """
    document: dict[str, object] = {
        **dict(record.others),
        **_package(record),
        "depends": list(record.requirements),
        "constrains": list(record.constraints),
        "extra_depends": {extra: list(specs) for extra, specs in record.extra_requirements} or None,
        "track_features": " ".join(record.track_features) or None,
        "python_site_packages_path": record.python_site_packages_path,
        "license": record.license,
        "timestamp": record.timestamp,
        "size": record.size,
        "md5": record.md5,
        "sha256": record.sha256,
        "purls": list(record.purls) or None,
        "fn": record.filename or f"{record.identity}.conda",
        "url": public(record.url),
        "channel": public(record.origin or record.url.rsplit("/", 2)[0]),
        **_requests(record, requested),
    }
    return {key: value for key, value in document.items() if value is not None}


def snapshot_record(record: Record, requested: Sequence[str] = (), choice: str = "") -> dict[str, object]:
    """Return what conda-meta states of a package without its paths, for a snapshot (`bridge.prefix.revisions`)."""
    shown = tuple(map(masked, requested))
    if record.ecosystem == "conda":
        return conda_package(record, shown) | of_installation(record, choice)
    document = {
        **_package(record),
        **wheel_package(record, shown),
        "sha256": record.sha256,
        "md5": record.md5,
        "size": record.size,
        "timestamp": record.timestamp,
        **of_installation(record, choice),
    }
    return {key: value for key, value in document.items() if value is not None}


def _purls(record: Record) -> list[str]:
    first, *others = record.pypi_names or (record.name,)
    directory = public(record.url).partition("#")[0].rpartition("/")[0]
    is_index = "://" in record.origin and record.origin.rstrip("/") != directory  # Readers derive the directory.
    index = public(record.origin) if is_index and not record.is_of_channel else ""
    channel = public(record.origin) if record.is_of_channel else ""
    revision, source = record.revision or "", source_of(record.url)
    vcs_url = pinned(record.url, revision) if source is not None and source.kind == "git" else ""
    own = wheel_purl(first, record.version, record.filename, index, channel=channel, revision=revision, vcs_url=vcs_url)
    return [own, *(wheel_purl(name, record.version) for name in others)]


def _requests(record: Record, requested: Sequence[str]) -> dict[str, object]:
    """The user's requests: the first as a MatchSpec for conda, and all verbatim."""
    if not requested:
        return {}
    return {"requested_spec": _history_spec(record, requested[0]), "requested_specs": list(requested)}


def conda_depends(
    record: Record,
    target: Target,
    names: NameMap,
    *,
    extras: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return the MatchSpecs of a wheel's dependencies on `target`, with markers evaluated.

    `python` comes first: Requires-Python, and the minor version whose site-packages has the files: a client that
    changed it would leave them behind. A requirement without MatchSpec (`===`, a URL) becomes its bare name, for the
    record must be writable; invalid PEP 508 is left out. Raises `ValueError` if a marker is evaluated for a target
    without python.
    """
    specs = dict.fromkeys(_python_specs(record, target))
    for text in record.requirements:
        try:
            requirement = pep508.Requirement(text)
        except pep508.InvalidRequirement:
            continue
        if requirement.marker is None or _applies(requirement, target, ("", *extras)):
            specs[_spec(requirement, names)] = None
    return tuple(specs)


def _python_specs(record: Record, target: Target) -> tuple[str, ...]:
    specs = []
    try:
        versions = to_version_spec(specifiers.SpecifierSet(record.requires_python or ""))
        specs += [f"python {versions}"] if versions else []
    except (BridgeError, specifiers.InvalidSpecifier):
        pass  # An invalid Requires-Python: the resolver ignored it too.
    if target.python is not None:
        major, minor = target.python.minor
        specs.append(f"python {major}.{minor}.*")
    return tuple(specs) or ("python",)


def _applies(requirement: pep508.Requirement, target: Target, extras: Iterable[str]) -> bool:
    environment = target.marker_environment()
    return requirement.marker is not None and any(
        marker_holds(str(requirement.marker), environment, extra) for extra in extras
    )


def _spec(requirement: pep508.Requirement, names: NameMap) -> str:
    try:
        return to_matchspec(requirement, names)
    except UnsafeInputError:
        return names.native_name(canonicalize_name(requirement.name))


def history(
    previous: bytes,
    *,
    when: str,
    command: str,
    version: str,
    added: Sequence[Resolved],
    removed: Sequence[Installed],
    removed_specs: Sequence[str] = (),
    wheels: Collection[str] = (),
) -> bytes:
    """Append a revision to conda-meta/history, in the form that conda parses.

    :param when: `2026-11-22 10:00:00`.
    :param command: the command line.
    :param removed_specs: native names that the user removed.
    :param wheels: the names of all wheels after the change. Their specs are left out, and revoked if an earlier
        revision has them: `conda env export --from-history` writes every spec as a conda package, and conda 26.7 fails
        on one that is not installed as such.

    Every spec must be a valid MatchSpec: conda parses the whole file, and fails on an invalid one.
    """
    lines = [f"==> {when} <==", f"# cmd: {_one_line(command)}", f"# bridge version: {version}"]
    known = _distributions(previous)
    lines += sorted(
        f"-{known.get(installed.record.identity) or _distribution(installed.record)}" for installed in removed
    )
    lines += sorted(f"+{_distribution(resolved.record)}" for resolved in added)
    unwanted = {*removed_specs, *requested_specs(previous.decode("utf-8", "replace")).keys() & wheels}
    wanted = {
        _history_spec(resolved.record, text)
        for resolved in added
        for text in resolved.requested
        if resolved.record.ecosystem == "conda"
    }
    if unwanted:
        lines.append(f"# remove specs: {sorted(unwanted)!r}")
    if wanted:
        lines.append(f"# update specs: {sorted(wanted)!r}")
    return _ended(previous) + ("\n".join(lines) + "\n").encode("utf-8")


def with_unrecorded(previous: bytes, installed: Iterable[Installed], *, when: str) -> bytes:
    """Append a revision for changes that the history does not have: other clients than conda write none.

    conda does the same before its own revision (`History.update`). Packages of pip, for which conda has other rules,
    do not count.
    """
    is_foreign = f"/{PYPI}::"
    before = state_after(parse_revisions(previous.decode("utf-8", "replace")))
    known = {identity_of(text): text for text in before if is_foreign not in text}
    there = {each.record.identity: each.record for each in installed if each.record.subdir != PYPI}
    removed = sorted(f"-{text}" for identity, text in known.items() if identity not in there)
    added = sorted(f"+{_distribution(record)}" for identity, record in there.items() if identity not in known)
    if not (added or removed):
        return previous
    return _ended(previous) + "\n".join((f"==> {when} <==", *removed, *added, "")).encode("utf-8")


def _ended(previous: bytes) -> bytes:
    return previous if not previous or previous.endswith(b"\n") else previous + b"\n"


def _history_spec(record: Record, text: str) -> str:
    bare = split_binding(text.strip())[1].split(";", maxsplit=1)[0].strip()
    is_plain = record.name == re.split(r"[^\w.-]", bare, maxsplit=1)[0] and _SPEC.match(bare) and "===" not in bare
    return bare if is_plain and "@" not in bare and "[" not in bare else record.name


def _distributions(previous: bytes) -> dict[str, str]:
    """Map identity → its text in a history (`CHANNEL/SUBDIR::NAME-VERSION-BUILD`), which a removal must repeat."""
    lines = previous.decode("utf-8", "replace").splitlines()
    return {line.rpartition("::")[2].strip(): line[1:].strip() for line in lines if line.startswith("+")}


def _distribution(record: Record) -> str:
    if record.ecosystem == "wheel" and record.subdir != PYPI:  # conda assigns pip's packages a channel of its own.
        return f"{NO_CHANNEL}/{record.subdir}::{record.identity}"
    channel = public(record.origin or record.url.rpartition("/")[0])
    channel = channel.rstrip("/").removesuffix(f"/{record.subdir}")
    return f"{channel}/{record.subdir}::{record.identity}"


def _one_line(text: str) -> str:
    """Return a command line for the history: one line, without credentials in URLs."""
    shown = masked(text)
    return "".join(character if character.isprintable() else "?" for character in shown)
