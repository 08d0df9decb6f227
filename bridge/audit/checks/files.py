"""Checks of owned paths: does everything exist that the records promise, and is it what they promise? Pure."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterator, Sequence

from bridge.audit.checks import repair
from bridge.audit.finding import Finding, Level
from bridge.audit.look.observation import Observed
from bridge.audit.view import Discrepancy, View
from bridge.prefix.claims import Claim, Owner
from bridge.prefix.yielded import yielded_of


def missing_file(view: View) -> Iterator[Finding]:
    """A path of a package that does not exist. Bytecode compiled after installation may be deleted at any time."""
    for each in view.discrepancies:
        owner, path = each.claim.owner, each.claim.entry.path
        if each.kind == "missing" and not (_is_bytecode(path) and _compiles_bytecode(owner)):
            evidence = f"{owner.label} lists it; it does not exist"
            if each.by is not None:
                evidence += f", and {each.by.label} was installed over it since"
            yield _broken(view, "missing-file", each, evidence, each.by)
    told: set[str] = set()
    for installed in view.state.installed:
        for path in yielded_of(installed.record):
            bereft = view.owner(installed.meta_path) if path not in told else None
            if bereft is not None and path not in view.claims.by_path and view.observed.kind(path) is None:
                told.add(path)
                evidence = f"{bereft.label} left it to a package that was removed; it does not exist"
                yield Finding.of(bereft, "missing-file", "error", path, evidence, repair=repair.restore(view, bereft))


def modified_file(view: View) -> Iterator[Finding]:
    """A path that is not what its record promises, nor what another package promises for this path."""
    for each in view.discrepancies:
        if each.kind == "different" and each.by is None:
            evidence, same = _contrast(each), each.same_content
            if same is not None:
                evidence += f"; {same.owner.label} promises these bytes for {same.path}"
            yield _broken(view, "modified-file", each, evidence, same.owner if same else None)


def clobbered_file(view: View) -> Iterator[Finding]:
    """A path that is what *another* package's record promises for it: that package wrote over this one's file."""
    for each in view.discrepancies:
        if each.kind == "different" and each.by is not None:
            evidence = f"{_contrast(each)}, which is what {each.by.label} promises"
            yield _broken(view, "clobbered-file", each, evidence, each.by)


def unreadable_file(view: View) -> Iterator[Finding]:
    """A path that could not be compared with its record."""
    for each in view.discrepancies:
        if each.kind == "unreadable" and each.observed is not None:
            problem = each.observed.problem or "its content was not read"
            yield _broken(view, "unreadable-file", each, f"its sha256 could not be compared: {problem}")


def double_owner(view: View) -> Iterator[Finding]:
    """A path that two conda-meta records claim with different hashes: one of them is wrong in any case.

    `clobbered-file` reports a dist-info without a record that claims a record's path, and says who wrote last.
    """
    for path, group in view.claims.by_path.shared:
        recorded = [claim for claim in group if claim.owner.installed is not None and claim.entry.fingerprint.sha256]
        first = recorded[0] if recorded else None
        for claim in recorded[1:]:
            if first is not None and claim.entry.fingerprint.sha256 != first.entry.fingerprint.sha256:
                evidence = _both_promises(first, claim, view.observed.get(path))
                yield Finding.of(first.owner, "double-owner", "error", path, evidence, by=claim.owner)
                break


def shared_file(view: View) -> Iterator[Finding]:
    """A path that two records claim with one hash: whoever removes one package, removes the other's file too."""
    for path, group in view.claims.by_path.shared:
        recorded = [claim for claim in group if claim.owner.installed is not None]
        first = recorded[0] if len(recorded) > 1 else None
        other = next((claim for claim in recorded[1:] if first and claim.owner is not first.owner), None)
        if first is None or other is None or first.owner.package == other.owner.package:
            continue
        digest = first.entry.fingerprint.sha256
        if digest is not None and digest == other.entry.fingerprint.sha256:
            evidence = f"{first.owner.label} and {other.owner.label} both have it, with the same bytes"
            yield Finding.of(first.owner, "shared-file", "info", path, evidence, by=other.owner)


def _both_promises(first: Claim, second: Claim, observed: Observed | None) -> str:
    digest = observed.fingerprint.sha256 if observed else None
    return "; ".join(
        f"{claim.owner.label} promises sha256 {claim.entry.fingerprint.sha256}"
        + (", which is on disk" if claim.entry.fingerprint.sha256 == digest else "")
        for claim in (first, second)
    )


def broken_link(view: View) -> Iterator[Finding]:
    """An owned link whose target does not exist: an error if a record promises the target.

    Otherwise a warning: some packages ship such links (system roots of compilers do).
    """
    for path, observed in view.observed.noted.items():
        group = view.claims.by_path.get(path, ()) if observed.is_dangling else ()
        owner = next((claim.owner for claim in group if claim.entry.fingerprint.kind != "file"), None)
        if owner is None:  # Where a record promises a file, the link is a modified file.
            continue
        link = observed.fingerprint.link or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        is_promised = target in view.claims.by_path
        yield Finding.of(
            owner,
            "broken-link",
            "error" if is_promised else "warning",
            path,
            f"its target {link!r} does not exist"
            + ("" if is_promised else "; no record promises it, so the link may have been shipped like this"),
            repair=repair.restore(view, owner) if is_promised else (),
        )


def outside_link(view: View) -> Iterator[Finding]:
    """An owned link to a target outside the environment, which something else controls."""
    roots = (f"{view.state.prefix}/", f"{view.real_prefix}/")
    reported = {observed.claim.entry.path for observed in view.discrepancies}
    for path, observed in view.observed.noted.items():
        link = observed.fingerprint.link if not observed.is_dangling else None
        if link is None or path in reported or path not in view.claims.by_path:
            continue
        target = posixpath.normpath(posixpath.join(str(view.state.prefix), posixpath.dirname(path), link))
        if f"{target}/".startswith(roots):
            continue
        claim = view.claims.by_path[path][0]
        # Installers can link softly to their cache: the bytes are right as long as the cache exists. conda's
        # `always_softlink` records such a file as a link.
        promised = {claim.entry.fingerprint.sha256, claim.entry.packed, claim.entry.placed} - {None}
        level: Level = "info" if observed.fingerprint.sha256 in promised else "warning"
        evidence, commands = f"its target {target} is outside this environment", repair.restore(view, claim.owner)
        yield Finding.of(claim.owner, "outside-link", level, path, evidence, repair=commands)


def edited_through_link(view: View) -> Iterator[Finding]:
    """A changed file that is a hard link: the edit changed the file of a package cache, or of other environments, too.

    Every environment that conda, mamba or uv create from that cache gets the change; bridge makes a new file for them.
    A file that another installer put in its place, as uv does by a link to its own cache, is no edit.
    """
    for each in view.discrepancies:
        owner, path = each.claim.owner, each.claim.entry.path
        cached = view.inspection.caches.linked.get(path)
        is_file = each.observed is not None and each.observed.fingerprint.kind == "file"
        links = each.observed.links if each.observed is not None and is_file else 1
        if each.kind == "different" and (cached is not None or (links > 1 and each.by is None)):
            if cached is None:
                evidence = (
                    f"{links - 1} more file(s), such as of other environments, are the same inode and have the change"
                )
            else:
                evidence = f"it is the same inode as {cached}, so the change is in the cache too"
                evidence += f", and in {links - 2} more file(s)" if links > 2 else ""
            commands = repair.restore(view, owner)
            yield Finding.of(owner, "edited-through-link", "error", path, evidence, repair=commands)


def unicode_collision(view: View) -> Iterator[Finding]:
    """Paths that differ only in their Unicode normalisation: on macOS they are one."""
    seen: dict[str, str] = {}
    for path in () if view.observed.is_ascii else view.observed:
        if path.isascii():
            continue
        other = seen.setdefault(unicodedata.normalize("NFC", path), path)
        if other == path:
            continue
        second, first = sorted((path, other), key=lambda each: (view.owner(each) is not None, each))
        owner, by = view.owner(second) or view.owner(first), view.owner(first)
        if owner is not None:
            evidence = f"{first!a} differs from it only in Unicode normalisation"
            yield Finding.of(owner, "unicode-collision", "warning", second, evidence, by=by)


def case_collision(view: View) -> Iterator[Finding]:
    """Owned paths that differ only in case: on a file system that ignores case, one overwrites the other.

    Not reported within a conda package built for a platform with case-sensitive file systems: it is installed nowhere
    else.
    """
    paths = _claimed_first(view)
    if not _may_collide(view, paths):
        return
    seen: dict[str, str] = {}
    ignores_case = view.target.subdir.startswith(("osx-", "win-"))
    for path in paths:
        other = seen.setdefault(path.casefold(), path)
        if other == path:
            continue
        first, second = view.owner(other), view.owner(path)
        if first is None or (second is None and not view.is_environment):
            continue
        if first is not second or ignores_case or _is_portable(first):
            evidence = f"{other} of {first.label} differs from it only in case"
            yield Finding.of(second or first, "case-collision", "warning", path, evidence, by=first)


def _may_collide(view: View, paths: Sequence[str]) -> bool:
    """Whether two of the paths are equal without case. At least one of them is then not in lower case."""
    folded = {path: path.casefold() for path in paths if not (path.islower() and path.isascii())}
    if len(set(folded.values())) < len(folded):
        return True
    claimed, observed = view.claims.by_path, view.observed
    return any(other != path and (other in claimed or other in observed) for path, other in folded.items())


def _claimed_first(view: View) -> list[str]:
    claimed = view.claims.by_path.keys()
    return [*claimed, *[path for path in view.observed.plain if path not in claimed]]


def _broken(view: View, name: str, discrepancy: Discrepancy, evidence: str, by: Owner | None = None) -> Finding:
    owner, path = discrepancy.claim.owner, discrepancy.claim.entry.path
    is_rivalry = by is not None and any(each.owner is by for each in view.claims.by_path.get(path, ()))
    # To restore one of two packages that both have the path would break the other.
    is_certain = discrepancy.kind != "unreadable" and (not is_rivalry or view.overwriters.get(owner) is by)
    commands = repair.restore(view, owner) if is_certain else ()
    if commands and owner.distribution is not None and _leads_to_itself(discrepancy):
        commands = repair.delete(view, path)  # pip ends at such a link; without it, it installs the project again.
    return Finding.of(owner, name, _level(discrepancy), discrepancy.claim.entry.path, evidence, by=by, repair=commands)


def _leads_to_itself(discrepancy: Discrepancy) -> bool:
    path = discrepancy.claim.entry.path
    link = discrepancy.observed.fingerprint.link if discrepancy.observed is not None else None
    return link is not None and posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) == path


def _level(discrepancy: Discrepancy) -> Level:
    """Info for bytecode, a cache that the interpreter writes again; a warning between packages that pip installed.

    Nothing stops pip from letting one package overwrite another's file, and no conda-meta record is wrong then.
    """
    owner = discrepancy.claim.owner
    if _is_bytecode(discrepancy.claim.entry.path) or _is_of_system(owner):
        return "info"
    is_by_pip = owner.source == "unmanaged" and discrepancy.by is not None and discrepancy.by.source == "unmanaged"
    return "warning" if is_by_pip else "error"


def _is_of_system(owner: Owner) -> bool:
    """Whether Debian's package manager owns the files: it strips libraries and leaves RECORD unchanged."""
    distribution = owner.distribution
    return distribution is not None and distribution.installer is None and "/dist-packages/" in distribution.path


def _contrast(discrepancy: Discrepancy) -> str:
    """What the record promises, and what is on disk."""
    promised = discrepancy.claim.entry.fingerprint
    actual = discrepancy.observed.fingerprint if discrepancy.observed else None
    if actual is not None and promised.sha256 is not None and actual.sha256 is not None:
        return f"sha256 {promised.sha256} was promised; on disk it is {actual.sha256}"
    if actual is not None and actual.kind == "symlink":
        expected = f"a link to {promised.link!r}" if promised.link is not None else f"a {promised.kind}"
        if promised.kind == "symlink" and promised.link is None:
            packed, placed = discrepancy.claim.entry.packed, discrepancy.claim.entry.placed
            both = packed and placed
            expected = "a link to another path" if both else f"a link to the file with the sha256 {packed or placed}"
        return f"{expected} was promised; on disk it is a link to {actual.link!r}"
    return f"a {promised.kind} was promised; on disk it is {f'a {actual.kind}' if actual else 'nothing'}"


def _is_bytecode(path: str) -> bool:
    # virtualenv lists the directories too, and creates none.
    return path.endswith((".pyc", ".pyo", "/__pycache__"))


def _compiles_bytecode(owner: Owner) -> bool:
    """Whether the owner's bytecode was compiled here: that of wheels and of noarch conda packages was."""
    return owner.source != "conda" or (owner.installed is not None and owner.installed.record.noarch is not None)


def _is_portable(owner: Owner) -> bool:
    return owner.source != "conda" or (owner.installed is not None and owner.installed.record.subdir == "noarch")
