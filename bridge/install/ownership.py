"""Whether a plan may write what it wants to write: judged whole, before the first write.

Pure: what lies on the disk is asked through a port (`exists`). Every conflict of a plan is collected and told at once.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from fnmatch import fnmatchcase

from bridge.errors import OwnershipError
from bridge.install.folded_paths import FoldedPaths, compose, fold
from bridge.model import Distribution, Entry, Fingerprint, Plan, PrefixState
from bridge.paths import META, ancestors, quoted
from bridge.prefix.claims import Claim, Owner, bytecode_source, claims_of, incoming, label, leaving, owned_entries
from converters.deferred import dataclass, regex
from converters.projects import canonicalize_name
from converters.record import Record

__all__ = ["Conflict", "Exists", "Judgement", "judge"]

Exists = Callable[[str], Fingerprint | None]
"""What lies at a prefix-relative path, files hashed; `None`: nothing (`bridge.fs.fingerprint`)."""

_SHOWN = 10
_OF_INTERPRETER = ("bin/python", "lib/libpython")
_INTERPRETER = regex(r"(bin/(python|pythonw|python3|python\d\.\d+t?(-config)?)|lib/libpython[^/]*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One path that `package` (`name`) may not write: `id` as the error's, `owner` whose it is (empty: nobody's)."""

    id: str
    path: str
    package: str
    name: str
    owner: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A plan that may be carried out.

    :param shared: paths that are there already, with the same bytes, and stay with their owner as well.
    :param adopted: paths that nobody (or pip) owned and that are taken over (`--adopt`).
    :param set_aside: paths that nobody owned and that are kept under another name (`--set-aside`).
    :param yielded: identity → paths that this package does not place, because another brings them (`--allow-clobber`).
    """

    shared: frozenset[str] = frozenset()
    adopted: frozenset[str] = frozenset()
    set_aside: frozenset[str] = frozenset()
    yielded: Mapping[str, frozenset[str]] = field(default_factory=dict)


def judge(
    state: PrefixState,
    plan: Plan,
    manifests: Mapping[str, tuple[Entry, ...]],
    exists: Exists,
    *,
    adopt: bool = False,
    set_aside: bool = False,
    allow_clobber: Sequence[str] = (),
) -> Judgement:
    """Whether every path of the plan may be written.

    :param manifests: `Record.identity` of each incoming package → its paths (`bridge.install.manifest`).
    :param allow_clobber: names of incoming packages (patterns as of `fnmatch`, `NAME` or `NAME:PATH`) that yield where
        another package brings, or has, the same path.

    Raises `OwnershipError`: `owned-path`, `unowned-path`, `clobber`, `path-collision`, `path-symlink`, `broken-record`
    (a conda-meta record that cannot be read: who owns what is not known). `objects["conflicts"]` has all conflicts.
    """
    _refuse_broken(state)
    case = _Case(state, plan, manifests, exists)
    case.adopt, case.set_aside, case.allow_clobber = adopt, set_aside, tuple(allow_clobber)
    case.judge_plan()
    case.judge_prefix()
    case.judge_tree()
    if case.conflicts:
        raise _refusal(case.conflicts, state)
    return Judgement(
        shared=frozenset(case.shared),
        adopted=frozenset(case.adopted),
        set_aside=frozenset(case.aside),
        yielded={identity: frozenset(paths) for identity, paths in case.yielded.items()},
    )


class _Case:
    """The facts of one judgement, and what was found."""

    adopt = False
    set_aside = False
    allow_clobber: tuple[str, ...] = ()

    def __init__(
        self, state: PrefixState, plan: Plan, manifests: Mapping[str, tuple[Entry, ...]], exists: Exists
    ) -> None:
        self.exists = exists
        self.is_case_insensitive = plan.target.is_windows or plan.target.subdir.startswith("osx-")
        old = leaving(plan)
        self.freed = {entry.path for installed in old for entry in owned_entries(installed)}
        links = (entry.path for installed in old for entry in installed.entries if entry.fingerprint.kind == "symlink")
        self.leaving_links = frozenset(links)
        claims = claims_of(state, without=old)
        self.standing = claims.by_path
        self.unmanaged = [owner.distribution for owner in claims.unmanaged if owner.distribution is not None]
        records = {resolved.record.identity: resolved.record for resolved in incoming(plan)}
        self.wanted: dict[str, list[tuple[Record, Entry]]] = {}
        for identity, entries in manifests.items():
            record = records[identity]
            for entry in entries:
                self.wanted.setdefault(entry.path, []).append((record, entry))
        self.conflicts: list[Conflict] = []
        self.shared: set[str] = set()
        self.adopted: set[str] = set()
        self.aside: set[str] = set()
        self.yielded: dict[str, set[str]] = {}

    def judge_plan(self) -> None:
        """Two packages of the plan, one path: the same bytes are shared, else all but one must yield."""
        for path, brought in self.wanted.items():
            if len(brought) == 1:
                continue
            fingerprints = [entry.fingerprint for _, entry in brought]
            if _is_same(fingerprints) or _is_cache(path, fingerprints):
                continue
            kept = [each for each in brought if not self._may_yield(each[0], path)]
            if not kept and (path in self.standing or self._may_yield(None, path)):  # to what is there, or to any
                kept = brought[:1]
            if len(kept) == 1:
                for record, _ in brought:
                    if record is not kept[0][0]:
                        self.yielded.setdefault(record.identity, set()).add(path)
                self.wanted[path] = kept
                continue
            first, second = sorted(
                (record for record, _ in kept[:2] or brought[:2]), key=lambda each: each.name != "python"
            )
            text = f"{path}: {first.label} and {second.label} both bring it, with different contents"
            self._refuse("owned-path" if first.name == "python" else "clobber", path, second, first.label, text)

    def _may_yield(self, record: Record | None, path: str) -> bool:
        """Whether a package yields at a path; `None`: whether `*:PATH` says so of all that bring it."""
        names = ("*",) if record is None else (record.name, *record.pypi_names[:1])
        patterns = [pattern.partition(":") for pattern in self.allow_clobber if not path.startswith(f"{META}/")]
        return any(
            (fnmatchcase(path, paths) if paths else record is not None)
            and any(fnmatchcase(each, who) for each in names)
            for who, _, paths in patterns
        )

    def judge_prefix(self) -> None:
        """Each path of the plan, against what stands at it."""
        for path in list(self.wanted):
            record, entry = self.wanted[path][0]
            if path.startswith(_OF_INTERPRETER) and record.ecosystem == "wheel" and _INTERPRETER.match(path):
                owner = next((claim.owner.label for claim in self.standing.get(path, ())), "python")
                text = f"{path} belongs to {owner}, the interpreter; {record.label} would overwrite it"
                self._refuse("owned-path", path, record, owner, text)
            elif path in self.standing:
                self._judge_owned(path, record, entry, self.standing[path])
            elif path not in self.freed:
                self._judge_unowned(path, record, entry)
        self._judge_projects()

    def _judge_projects(self) -> None:
        """A project has one dist-info: none is put beside that of another installer, which does not give way."""
        there: dict[str, list[Distribution]] = {}
        for each in self.unmanaged:
            there.setdefault(each.name, []).append(each)
        for path, brought in list(self.wanted.items()) if there else ():
            info, _, name = path.rpartition("/")
            if name != "METADATA" or not info.endswith(".dist-info"):
                continue
            folder, _, stem = info.rpartition("/")
            for each in there.get(canonicalize_name(stem.partition("-")[0]), ()):
                is_beside = each.path != info and each.path.rpartition("/")[0] == folder
                if is_beside and self.adopted.isdisjoint(entry.path for entry in each.entries or ()):
                    record, owner = brought[0][0], label(each)
                    text = (
                        f"{each.path} belongs to {owner}, which bridge did not install; {record.label} is that project"
                    )
                    self._refuse("owned-path", each.path, record, owner, text)

    def _judge_owned(self, path: str, record: Record, entry: Entry, standing: tuple[Claim, ...]) -> None:
        present = self.exists(path)
        owner = standing[0].owner
        if not owner.is_managed:
            if self.adopt and _may_adopt(entry, present, owner, record):
                self.adopted.add(path)
            else:
                text = (
                    f"{path} belongs to {owner.label}, which bridge did not install; {record.label} would overwrite it"
                )
                self._refuse("owned-path", path, record, owner.label, text)
        elif _may_share(entry, present, standing) or _is_cache(path, [entry.fingerprint]):
            self.shared.add(path)
        elif self._may_yield(record, path):
            self.yielded.setdefault(record.identity, set()).add(path)
            del self.wanted[path]
        else:
            text = f"{path} belongs to {owner.label}; {record.label} would overwrite it"
            self._refuse("owned-path", path, record, owner.label, text)

    def _judge_unowned(self, path: str, record: Record, entry: Entry) -> None:
        present = None if self._is_behind_leaving_link(path) else self.exists(path)
        if present is None or present.kind == entry.fingerprint.kind == "directory" or self._is_own_bytecode(path):
            return
        if present.kind == "directory":
            self._judge_directory(path, record)
        elif self.adopt and _is_same([entry.fingerprint, present]):
            self.adopted.add(path)
        elif self.set_aside:
            self.aside.add(path)
        else:
            text = f"{path} exists and no package owns it; {record.label} would overwrite it"
            self._refuse("unowned-path", path, record, "", text)

    def _is_behind_leaving_link(self, path: str) -> bool:
        """Whether a link that leaves lies on the way: what it leads to lies at other paths, and stays there."""
        if not self.leaving_links:
            return False
        link = next((folder for folder in ancestors(path) if folder in self.leaving_links), None)
        present = self.exists(link) if link is not None else None
        return present is not None and present.kind == "symlink"

    def _is_own_bytecode(self, path: str) -> bool:
        """A cache whose module is being replaced, or is brought along, holds nothing of its own."""
        source = bytecode_source(path)
        return source is not None and (source in self.freed or source in self.wanted)

    def _judge_directory(self, path: str, record: Record) -> None:
        """A directory where a file is due: it may go if all that is known in it goes."""
        below = f"{path}/"
        owners = sorted(
            {each.owner.label for held in self.standing if held.startswith(below) for each in self.standing[held]}
        )
        if owners or not any(freed.startswith(below) for freed in self.freed):
            whose = f" of {owners[0]}" if owners else ", which no package owns"
            text = f"{path} is a directory{whose}; {record.label} brings a file of that name"
            self._refuse("path-collision", path, record, owners[0] if owners else "", text)

    # --- the tree as a whole ------------------------------------------------------------------------------------------

    def judge_tree(self) -> None:
        """A file where a directory is needed, and names that one file system takes for the same."""
        folders: dict[str, str] = {}
        for path in self.wanted:
            folder = path.rpartition("/")[0]
            while folder and folder not in folders:
                folders[folder] = path
                folder = folder.rpartition("/")[0]
        for folder, path in folders.items():
            self._judge_folder(folder, path)
        if self.is_case_insensitive or not all(map(str.isascii, (*self.wanted, *self.standing))):
            self._judge_spelling()

    def _judge_folder(self, folder: str, path: str) -> None:
        record = self.wanted[path][0][0]
        brought = self.wanted.get(folder)
        if brought is not None and brought[0][1].fingerprint.kind != "directory":
            other = brought[0][0].label
            text = f"{folder} is a file of {other}; {record.label} needs a directory there for {path}"
            self._refuse("path-collision", folder, record, other, text)
            return
        is_free = folder in self.freed or self._is_behind_leaving_link(folder)
        present = None if is_free else self.exists(folder)
        if present is None or present.kind == "directory":
            return
        owner = self.standing[folder][0].owner.label if folder in self.standing else ""
        whose = f" of {owner}" if owner else ", which no package owns"
        text = f"{folder} is a {present.kind}{whose}; {record.label} needs a directory there for {path}"
        self._refuse("path-symlink" if present.kind == "symlink" else "path-collision", folder, record, owner, text)

    def _judge_spelling(self) -> None:
        """Two files, or a file and a directory, that are one name however it is spelled; two directories are merged."""
        spelling = FoldedPaths(fold if self.is_case_insensitive else compose)
        directories = {
            path for path in self.standing.unusual() if self.standing[path][0].entry.fingerprint.kind == "directory"
        }
        for path in self.standing:
            spelling.add(path, is_directory=path in directories)
        for path in sorted(self.wanted):
            record, entry = self.wanted[path][0]
            is_directory = entry.fingerprint.kind == "directory"
            other = spelling.other(path, is_directory=is_directory)
            if other is not None:
                text = f"{path} of {record.label} and {other} of {self._owner(other)} are one name on this file system"
                self._refuse("path-collision", path, record, self._owner(other), text)
            spelling.add(path, is_directory=is_directory)

    def _owner(self, path: str) -> str:
        """Whose a path is, or what lies below it."""
        for known in (path, *(each for each in (*self.wanted, *self.standing) if each.startswith(f"{path}/"))):
            if known in self.wanted:
                return self.wanted[known][0][0].label
            if known in self.standing:
                return self.standing[known][0].owner.label
        return "another package"

    def _refuse(self, error_id: str, path: str, record: Record, owner: str, text: str) -> None:
        self.conflicts.append(
            Conflict(id=error_id, path=path, package=record.label, name=record.name, owner=owner, text=text)
        )


def _may_share(entry: Entry, present: Fingerprint | None, standing: Sequence[Claim]) -> bool:
    """Equal bytes may have several owners. What lies there counts; where nothing does, what the owners' records say."""
    if present is not None:
        return _is_same([entry.fingerprint, present])
    return _is_same([entry.fingerprint, *(claim.entry.fingerprint for claim in standing)])


def _is_cache(path: str, fingerprints: Iterable[Fingerprint]) -> bool:
    """Whether it is bytecode whose content no package promises: it belongs to who shares the module, judged itself."""
    return bytecode_source(path) is not None and all(
        each.kind == "file" and each.sha256 is None for each in fingerprints
    )


def _may_adopt(entry: Entry, present: Fingerprint | None, owner: Owner, record: Record) -> bool:
    """Equal bytes may be taken over; so may what an installer generates, from the same project and version."""
    if present is None or _is_same([entry.fingerprint, present]):
        return True
    is_generated = entry.fingerprint.kind == present.kind == "file" and entry.fingerprint.sha256 is None
    is_same_project = owner.package in (record.pypi_names or (record.name,))
    return is_generated and is_same_project and owner.label.endswith(f":{owner.package}-{record.version}")


def _is_same(fingerprints: Sequence[Fingerprint]) -> bool:
    """Whether all are known, and known to be the same."""
    first = fingerprints[0]
    if any(each.kind != first.kind for each in fingerprints):
        return False
    if first.kind == "file":
        return first.sha256 is not None and all(each.sha256 == first.sha256 for each in fingerprints)
    return first.kind == "directory" or (
        first.link is not None and all(each.link == first.link for each in fingerprints)
    )


def _refuse_broken(state: PrefixState) -> None:
    """Refuse where a package's record cannot be read. One that was read in spite of a defect stops nothing."""
    read = {each.meta_path for each in state.installed}
    broken = [
        defect
        for defect in state.defects
        if defect.id == "broken-record" and defect.path.startswith(f"{META}/") and defect.path not in read
    ]
    if broken:
        first = broken[0]
        folder = shlex.quote(f"{state.prefix}/{first.path}"), shlex.quote(f"{state.prefix}/{META}/{first.package}.json")
        raise OwnershipError(
            "broken-record",
            f"{first.path} cannot be trusted: who owns which file is not known, so nothing was changed",
            context=[f"{defect.path}: {defect.detail}" for defect in broken[:_SHOWN]],
            hint=f"give it its name: mv {' '.join(folder)}"
            if first.package
            else f"repair it: bridge audit -p {quoted(state.prefix)} --fix",
            objects={"defects": tuple(broken)},
        )


_HINTS = {
    "clobber": "choose one of the packages, or name the one that is to yield: --allow-clobber {name}",
    "owned-path": "remove the owner first, or let {name} leave out what is there: --allow-clobber {name}",
    "unowned-path": "--adopt takes over what has the same bytes; --set-aside keeps it under another name",
    "path-collision": "remove one of the two first: they cannot be installed together",
    "path-symlink": "nothing is written through a symlink: put a directory in its place",
}
_OTHERS = "which bridge did not install"


def _refusal(conflicts: Sequence[Conflict], state: PrefixState) -> OwnershipError:
    ordered = sorted(conflicts, key=lambda conflict: (conflict.package, conflict.path))
    first, rest = ordered[0], len(ordered) - 1
    message = first.text if not rest else f"{first.text} (and {rest} more conflict{'s' if rest > 1 else ''})"
    context = [f"{conflict.id}: {conflict.text}" for conflict in ordered[:_SHOWN]] if rest else []
    context += [f"and {len(ordered) - _SHOWN} more"] if len(ordered) > _SHOWN else []
    hint = _HINTS[first.id].format(name=first.name)
    if first.id == "owned-path" and first.owner.removeprefix("conda:").startswith("python-"):
        hint = "choose another package: nothing replaces files of the interpreter"
    elif _OTHERS in first.text:
        owners = {each.owner for each in ordered if _OTHERS in each.text}
        projects = sorted({each.name for each in state.distributions if label(each) in owners})
        adopt = f"bridge adopt -p {quoted(state.prefix)} {' '.join(projects)}"
        hint = f"have bridge own it and run this again: {adopt}; where its bytes are the same, --adopt takes it over"
    return OwnershipError(first.id, message, context=context, hint=hint, objects={"conflicts": tuple(ordered)})
