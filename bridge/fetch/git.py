"""Git repositories, read with the program `git`: what a reference names, and a checkout of a commit.

Each repository is kept once below the cache, without a working tree. The user's own configuration counts (credential
helpers, proxies, `insteadOf`, allowed protocols); hooks do not run. Credentials in a URL reach git by its environment,
so that no list of processes and no file of a repository shows them.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from bridge import fs
from bridge.errors import NetworkError, UsageError
from bridge.faults import faults
from bridge.secrets import SECRETS, hidden, masked

__all__ = ["GitRepository"]

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_ABBREVIATED = re.compile(r"[0-9a-f]{4,39}\Z")
_SAFE = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never", "advice.detachedHead=false",
         "init.templateDir=", "gc.auto=0", "core.symlinks=true")  # fmt: skip
# Variables that make git work on another repository, or run programs.
_DROPPED = re.compile(
    r"GIT_(?:DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|TEMPLATE_DIR"
    r"|EXTERNAL_DIFF|EXEC_PATH|CEILING_DIRECTORIES|TRACE\w*|QUARANTINE_PATH|SHALLOW_FILE|PREFIX)\Z"
)
_HEADS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/bridge/HEAD")
_LAST_LINES = 5
_PATIENCE = 3600.0  # seconds for one command


_FETCHING = threading.Lock()  # two fetches into one copy would stand in each other's way


class GitRepository:
    """One remote repository and its copy in the cache.

    :param url: without `git+`, reference and fragment. `offline`: use only what the cache has.
    """

    def __init__(self, url: str, cache: Path, *, offline: bool) -> None:
        self._url, self._offline = url, offline
        self._copy = cache / "git" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:32]
        self._cache = cache

    def commit(self, reference: str) -> str:
        """Return the commit that a branch, a tag, a commit or (empty) the default branch names now.

        Raises `NetworkError` (`git-failed`, `offline`), `UsageError` (`git-missing`, `git-reference`).
        """
        if _COMMIT.match(reference) and self._has(reference):
            return reference
        if not self._offline:
            with _FETCHING:
                self._fetch(reference)
        elif not self._copy.is_dir():
            raise NetworkError(
                "offline", f"{masked(self._url)} is not in the cache, and --offline forbids asking for it"
            )
        names = [f"refs/heads/{reference}", f"refs/tags/{reference}"] if reference else ["refs/bridge/HEAD"]
        if _COMMIT.match(reference) or _ABBREVIATED.match(reference):
            names.append(reference)
        if reference.startswith("refs/"):
            names = [f"refs/bridge/{reference}"]
        for name in names:
            done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", fails=True)
            if done is not None and _COMMIT.match(done.strip()):
                return done.strip()
        raise UsageError(
            "git-reference",
            f"{masked(self._url)} has no branch, tag or commit {reference!r}"
            if reference
            else f"{masked(self._url)} has no default branch",
            hint="see its branches and tags with: git ls-remote " + masked(self._url),
        )

    def checkout(self, commit: str, target: Path) -> None:
        """Write the files of a commit to the new directory `target`, with submodules and the history.

        Raises `NetworkError` (`git-failed`), `UsageError` (`git-missing`).
        """
        if not self._has(commit):
            self.commit(commit)
        fs.make_directories(target.parent)
        # Without hard links: what a build does to its copy must not reach the cache.
        self._run("clone", "--no-hardlinks", "--no-checkout", "--quiet", "--", str(self._copy), str(target))
        self._run("-C", str(target), "remote", "set-url", "origin", self._url)
        self._run("-C", str(target), "checkout", "--quiet", "--detach", commit)
        if (target / ".gitmodules").is_file():
            if self._offline:
                raise NetworkError("offline", f"the submodules of {masked(self._url)} are not in the cache")
            self._run("-C", str(target), "submodule", "--quiet", "update", "--init", "--recursive")

    def _has(self, commit: str) -> bool:
        return self._copy.is_dir() and self._git("cat-file", "-e", f"{commit}^{{commit}}", fails=True) is not None

    def _fetch(self, reference: str) -> None:
        if not self._copy.is_dir():
            fs.make_directories(self._copy.parent)
            self._run("init", "--quiet", "--bare", "--", str(self._copy))
        heads = list(_HEADS)
        if reference.startswith("refs/"):
            heads.append(f"+{reference}:refs/bridge/{reference}")
        self._git("fetch", "--quiet", "--force", "--prune", "--", self._url, *heads)
        if _COMMIT.match(reference) and not self._has(reference):
            # A commit of no branch or tag, such as one of a pull request: servers may give it by its name.
            self._git("fetch", "--quiet", "--", self._url, reference, fails=True)

    def _git(self, *words: str, fails: bool = False) -> str | None:
        """Run git on the copy; with `fails`, `None` means that it failed."""
        return self._run("--git-dir", str(self._copy), *words, fails=fails)

    def _run(self, *words: str, fails: bool = False) -> str | None:
        settings = [word for setting in _SAFE for word in ("-c", setting)]
        with faults(self._copy):
            try:
                done = subprocess.run(
                    ["git", *settings, *words],
                    env=self._environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_PATIENCE,
                    check=False,
                )
            except FileNotFoundError as error:
                raise UsageError(
                    "git-missing",
                    f"{masked(self._url)} is a git repository, and there is no program `git` on PATH",
                    hint="install git (bridge install git), or require a wheel or an archive instead",
                ) from error
            except subprocess.TimeoutExpired as error:
                raise self._failed(words, ["it took longer than an hour"]) from error
        if done.returncode == 0:
            return done.stdout.decode("utf-8", "replace")
        if fails:
            return None
        lines = [hidden(line) for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        raise self._failed(words, lines[-_LAST_LINES:])

    def _failed(self, words: Sequence[str], lines: Sequence[str]) -> NetworkError:
        command = next(
            (word for word in words if word in {"fetch", "clone", "checkout", "submodule", "init"}), words[0]
        )
        return NetworkError(
            "git-failed",
            f"git {command} failed for {masked(self._url)}",
            context=lines,
            hint="check the URL and your access with: git ls-remote " + masked(self._url),
        )

    def _environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables of git: it asks nobody, and gets the credentials of this URL as a rewriting of the URL."""
        kept = {name: value for name, value in environ.items() if not _DROPPED.match(name)}
        kept |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        place = urlsplit(self._url)
        user = SECRETS.address(f"git+{self._url}").user if place.scheme in {"http", "https"} else None
        if user is not None:
            name = ":".join(quote(part, safe="") for part in user if part)
            start = f"{place.scheme}://{place.netloc}/"
            count = int(kept.get("GIT_CONFIG_COUNT", "0") or "0")
            kept[f"GIT_CONFIG_KEY_{count}"] = f"url.{place.scheme}://{name}@{place.netloc}/.insteadOf"
            kept[f"GIT_CONFIG_VALUE_{count}"] = start
            kept["GIT_CONFIG_COUNT"] = str(count + 1)
        return kept
