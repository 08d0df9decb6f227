"""Checks of owned paths: is everything there that the records promise, and is it what they promise?"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterator, Sequence

from bridge.audit.checks import repair
from bridge.audit.claims import Claim, Owner
from bridge.audit.finding import Finding, Level
from bridge.audit.look.observation import Observed
from bridge.audit.view import Discrepancy, View

__all__ = [
    "broken_link",
    "case_collision",
    "clobbered_file",
    "double_owner",
    "edited_through_link",
    "missing_file",
    "modified_file",
    "outside_link",
    "unicode_collision",
    "unreadable_file",
]


def missing_file(view: View) -> Iterator[Finding]:
    """A path that a record lists and that is not there. Bytecode that was made after installing may go at any time."""
    for found in view.discrepancies:
        owner, path = found.claim.owner, found.claim.entry.path
        if found.kind != "missing" or (_is_bytecode(path) and _makes_bytecode(owner)):
            continue
        said = f"{owner.label} lists it; there is nothing at this path"
        if found.by is not None:
            said += f", and {found.by.label} was put over it since"
        yield _broken(view, "missing-file", found, said, found.by)


def modified_file(view: View) -> Iterator[Finding]:
    """A path that does not hold what its record promises, and that no other package claims with what is there."""
    for found in view.discrepancies:
        if found.kind == "different" and found.by is None:
            said = _contrast(found)
            same = found.same_content
            if same is not None:
                said += f"; these are the bytes that {same.owner.label} promises for {same.path}"
            yield _broken(view, "modified-file", found, said, by=same.owner if same else None)


def clobbered_file(view: View) -> Iterator[Finding]:
    """A path that holds what *another* package's record promises for it: that package wrote over this one's file."""
    for found in view.discrepancies:
        if found.kind == "different" and found.by is not None:
            yield _broken(
                view, "clobbered-file", found, f"{_contrast(found)}, which is what {found.by.label} promises", found.by
            )


def unreadable_file(view: View) -> Iterator[Finding]:
    """A path with a promise that could not be held against it. Nothing is called sound that was not read."""
    for found in view.discrepancies:
        if found.kind == "unreadable" and found.observed is not None:
            said = found.observed.problem or "its content was not read"
            yield _broken(view, "unreadable-file", found, f"its sha256 could not be compared: {said}")


def double_owner(view: View) -> Iterator[Finding]:
    """A path that two conda-meta records claim with different hashes: one of them is wrong whatever lies there.

    A dist-info without a record that claims a record's path is told by `clobbered-file`, which says who wrote last.
    """
    for path, group in view.claims.by_path.shared:
        recorded = [claim for claim in group if claim.owner.installed is not None and claim.entry.fingerprint.sha256]
        first = recorded[0] if recorded else None
        for claim in recorded[1:]:
            if first is not None and claim.entry.fingerprint.sha256 != first.entry.fingerprint.sha256:
                yield _two_owners(path, first, claim, view.observed.get(path))
                break


def _two_owners(path: str, first: Claim, second: Claim, lies: Observed | None) -> Finding:
    digest = lies.fingerprint.sha256 if lies else None
    said = "; ".join(
        f"{claim.owner.label} promises sha256 {claim.entry.fingerprint.sha256}"
        + (", which is on disk" if claim.entry.fingerprint.sha256 == digest else "")
        for claim in (first, second)
    )
    return Finding(
        id="double-owner",
        level="error",
        package=first.owner.package,
        path=path,
        owner=first.owner.label,
        by=second.owner.label,
        evidence=said,
    )


def broken_link(view: View) -> Iterator[Finding]:
    """An owned link that leads nowhere: an error where some record promises what it should lead to.

    A link to a path that no record knows may have been shipped so (system roots of compilers do): a warning.
    """
    for path, found in view.observed.noted.items():
        group = view.claims.by_path.get(path, ()) if found.is_dangling else ()
        owner = next((claim.owner for claim in group if claim.entry.fingerprint.kind != "file"), None)
        if owner is None:  # Where a file was promised, such a link is a modified file.
            continue
        link = found.fingerprint.link or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        is_promised = target in view.claims.by_path
        yield Finding(
            id="broken-link",
            level="error" if is_promised else "warning",
            package=owner.package,
            path=path,
            owner=owner.label,
            evidence=f"it leads to {link!r}, and there is nothing"
            + ("" if is_promised else "; no record promises anything there, so it may have been shipped like this"),
            repair=repair.restore(view, owner) if is_promised else (),
        )


def outside_link(view: View) -> Iterator[Finding]:
    """An owned link that leads out of the environment: what it gives is decided elsewhere."""
    roots = (f"{view.state.prefix}/", f"{view.real_prefix}/")
    told = {found.claim.entry.path for found in view.discrepancies}
    for path, found in view.observed.noted.items():
        link = found.fingerprint.link if not found.is_dangling else None
        if link is None or path in told or path not in view.claims.by_path:
            continue
        target = posixpath.normpath(posixpath.join(str(view.state.prefix), posixpath.dirname(path), link))
        if not f"{target}/".startswith(roots):
            first = view.claims.by_path[path][0]
            owner, promised = first.owner, first.entry.fingerprint
            # Installers can link softly to their cache: the bytes are those that were promised, while it lasts.
            # conda's `always_softlink` records such a file as a link.
            entry = view.claims.by_path[path][0].entry
            is_kept = found.fingerprint.sha256 in {promised.sha256, entry.packed, entry.placed} - {None}
            yield Finding(
                id="outside-link",
                level="info" if is_kept else "warning",
                package=owner.package,
                path=path,
                owner=owner.label,
                evidence=f"it leads to {target}, which lies outside this environment",
                repair=repair.restore(view, owner),
            )


def edited_through_link(view: View) -> Iterator[Finding]:
    """A changed file that a cache has under another name: whoever edited one edited both.

    Every environment that is made from that cache gets the change.
    """
    for found in view.discrepancies:
        path = found.claim.entry.path
        there = view.inspection.caches.linked.get(path)
        if found.kind == "different" and there is not None:
            owner = found.claim.owner
            said = f"it is the same inode as {there}, so what changed it changed the cache too"
            if found.observed is not None and found.observed.links > 2:
                said += f", and {found.observed.links - 2} more file(s) elsewhere"
            yield Finding(
                id="edited-through-link",
                level="error",
                package=owner.package,
                path=path,
                owner=owner.label,
                evidence=said,
                repair=repair.restore(view, owner),
            )


def unicode_collision(view: View) -> Iterator[Finding]:
    """Paths that differ only in how their letters are composed: macOS knows them as one."""
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
            yield Finding(
                id="unicode-collision",
                level="warning",
                package=owner.package,
                path=second,
                owner=owner.label,
                by=by.label if by else None,
                evidence=f"{first!a} differs from it only in how its letters are composed",
            )


def case_collision(view: View) -> Iterator[Finding]:
    """Owned paths that differ only in case: on a file system that ignores case, one lies over the other.

    A conda package that was built for a platform whose file systems tell case apart may have such paths: it goes
    nowhere else.
    """
    paths = list(_by_claim(view))
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
        if first is second and not ignores_case and not _is_portable(first):
            continue
        yield Finding(
            id="case-collision",
            level="warning",
            package=(second or first).package,
            path=path,
            owner=(second or first).label,
            by=first.label,
            evidence=f"{other} of {first.label} differs from it only in case",
        )


def _may_collide(view: View, paths: Sequence[str]) -> bool:
    """Whether two of the paths are one when case is ignored; at least one of these is not in lower case then."""
    folded = {path: path.casefold() for path in paths if not (path.islower() and path.isascii())}
    if len(set(folded.values())) < len(folded):
        return True
    claimed, observed = view.claims.by_path, view.observed
    return any(other != path and (other in claimed or other in observed) for path, other in folded.items())


def _by_claim(view: View) -> Iterator[str]:
    """Claimed paths first, then what else lies there."""
    yield from view.claims.by_path
    claimed = view.claims.by_path.keys()
    yield from (path for path in view.observed.plain if path not in claimed)


def _broken(view: View, name: str, found: Discrepancy, evidence: str, by: Owner | None = None) -> Finding:
    owner, path = found.claim.owner, found.claim.entry.path
    return Finding(
        id=name,
        level=_level(found),
        package=owner.package,
        path=path,
        owner=owner.label,
        by=by.label if by else None,
        evidence=evidence,
        repair=repair.restore(view, owner) if found.kind != "unreadable" else (),
    )


def _level(found: Discrepancy) -> Level:
    """Bytecode is a cache that the interpreter writes anew. Among packages that pip put there, nothing kept the second
    from writing over the first: a warning, for no record of conda-meta is false.
    """
    if _is_bytecode(found.claim.entry.path):
        return "info"
    if _is_of_system(found.claim.owner):
        return "info"
    is_of_pip = found.claim.owner.source == "unmanaged"
    return "warning" if is_of_pip and found.by is not None and found.by.source == "unmanaged" else "error"


def _is_of_system(owner: Owner) -> bool:
    """Whether Debian's package manager answers for the files: it strips libraries, and leaves RECORD as it was."""
    distribution = owner.distribution
    return distribution is not None and distribution.installer is None and "/dist-packages/" in distribution.path


def _contrast(found: Discrepancy) -> str:
    """What was promised, and what is there."""
    promised = found.claim.entry.fingerprint
    lies = found.observed.fingerprint if found.observed else None
    if lies is not None and promised.sha256 is not None and lies.sha256 is not None:
        return f"sha256 {promised.sha256} was promised; on disk it is {lies.sha256}"
    if lies is not None and lies.kind == "symlink":
        expected = f"a link to {promised.link!r}" if promised.link is not None else f"a {promised.kind}"
        if promised.kind == "symlink" and promised.link is None:
            packed, placed = found.claim.entry.packed, found.claim.entry.placed
            expected = f"a link to the file whose sha256 is {packed or placed}"
            expected = "a link to another path" if packed and placed else expected
        return f"{expected} was promised; a link to {lies.link!r} is there"
    return f"a {promised.kind} was promised; {f'a {lies.kind}' if lies else 'nothing'} is there"


def _is_bytecode(path: str) -> bool:
    # virtualenv lists the folders too, and makes none.
    return path.endswith((".pyc", ".pyo", "/__pycache__"))


def _makes_bytecode(owner: Owner) -> bool:
    """Whether the owner's bytecode was compiled here: that of wheels and of noarch conda packages."""
    return owner.source != "conda" or (owner.installed is not None and owner.installed.record.noarch is not None)


def _is_portable(owner: Owner) -> bool:
    return owner.source != "conda" or (owner.installed is not None and owner.installed.record.subdir == "noarch")
