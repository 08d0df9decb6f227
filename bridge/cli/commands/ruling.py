"""`bridge policy check`: whether a lock or an environment keeps to the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from bridge import prefix
from bridge.cli.commands.syncing import Chosen
from bridge.cli.session import Session
from bridge.config.policy import Breach, Policy
from bridge.errors import UnsafeInputError, UsageError
from bridge.install.attesting import breaches_of
from bridge.install.plan import with_unmanaged
from bridge.lock.records import record_of
from bridge.lock.ruling import locked_breaches
from bridge.requirements.locked import LockedConda
from bridge.resolve.attesting import Demands
from bridge.resolve.candidates.provides import provided_by
from converters.deferred import dataclass

__all__ = ["Checked", "check", "policy_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found. `files` are the policy's, `packages` how many were judged."""

    target: str
    files: tuple[str, ...]
    packages: int
    breaches: tuple[Breach, ...]

    @property
    def failure(self) -> UnsafeInputError | None:
        """The error, if there is a breach."""
        if not self.breaches:
            return None
        broken = len({each.package for each in self.breaches})
        verb = "breaks" if broken == 1 else "break"
        return UnsafeInputError("policy", f"{self.target}: {broken} of {self.packages} packages {verb} the policy")

    def to_json(self) -> dict[str, object]:
        """The document of `bridge policy check --json` (`bridge/schemas/policy.json`)."""
        return {
            "target": self.target,
            "policy": list(self.files),
            "packages": self.packages,
            "breaches": [each.to_json() for each in self.breaches],
        }


def policy_of(session: Session) -> Policy:
    """Return the policy of a run. Raises `UsageError` (`no-policy`)."""
    if session.policy is None:
        raise UsageError(
            "no-policy",
            "there is no policy to check against",
            hint="name one with --policy FILE, or write bridge-policy.toml or [tool.bridge.policy] in pyproject.toml",
        )
    return session.policy


def check(target: str | None, environment: Callable[[], Path], session: Session) -> Checked:
    """Judge a lock file, an environment given by its directory or name, or the environment of the run.

    The attestations of what a lock names are verified; those of an environment were when it was installed.

    Raises what reading them and verifying raise, and `UsageError` (`no-policy`).
    """
    policy = policy_of(session)
    if target is not None and Path(target).is_file():
        return _of_lock(Path(target), policy, session)
    return _of_environment(environment(), policy, session)


def _of_lock(path: Path, policy: Policy, session: Session) -> Checked:
    lock = Chosen(path=str(path)).read(session)
    names = session.names(())
    packages = {
        (each.record.url if isinstance(each, LockedConda) else each.url, each.sha256): each
        for environment in lock.environments
        for listed in environment.packages.values()
        for each in listed
    }
    breaches = [*locked_breaches(packages.values(), policy, names)]
    demands = Demands(policy, session.client)
    for each in packages.values():
        record = record_of(each)
        found = demands.of_record(record, provided_by(record, names).projects)
        breaches += found.breaches if found is not None else ()
    return _checked(str(path), len(packages), policy, breaches)


def _of_environment(path: Path, policy: Policy, session: Session) -> Checked:
    state = with_unmanaged(prefix.require(path))
    names = session.names(session.channel_urls(state), state)
    records = [each.record for each in state.installed]
    return _checked(str(path), len(records), policy, breaches_of(records, policy, names))


def _checked(target: str, count: int, policy: Policy, breaches: Iterable[Breach]) -> Checked:
    files = tuple(each.shown for each in policy.files)
    return Checked(target=target, files=files, packages=count, breaches=tuple(dict.fromkeys(breaches)))
