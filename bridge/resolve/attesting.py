"""Verifies the attestations that the policy demands of records and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.config.policy import Breach, Policy, Publisher
from bridge.fetch.client import Client
from bridge.index.attestations import Attestations
from bridge.model import IndexFile
from bridge.resolve.ruling import attestation_problem, names_of
from converters.projects import canonicalize_name
from converters.record import Record

__all__ = ["Attested", "Demands"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What was verified of one archive: its publishers, and the rules that they do not satisfy."""

    publishers: tuple[Publisher, ...]
    breaches: tuple[Breach, ...]


class Demands:
    """The demands of a policy, each archive verified once."""

    def __init__(self, policy: Policy, client: Client) -> None:
        self._policy, self._client = policy, client
        self._verifying: dict[Path | None, Attestations] = {}

    def of_record(self, record: Record, projects: Iterable[str] = ()) -> Attested | None:
        """Verify what the policy demands of a record; `None`: nothing. Raises as `Attestations.of`.

        :param projects: that it provides beside those it names.
        """
        channel = record.origin if record.ecosystem == "conda" else None
        return self._judged(names_of(record, projects), record.label, lambda each: each.of(record), channel)

    def of_file(self, file: IndexFile) -> Attested | None:
        """The same for a file of an index."""
        names = (canonicalize_name(file.project),)
        return self._judged(names, file.filename, lambda each: each.of_file(file), None)

    def _judged(
        self,
        names: Sequence[str],
        label: str,
        verify: Callable[[Attestations], tuple[Publisher, ...]],
        channel: str | None,
    ) -> Attested | None:
        rules = self._policy.publishers(names)
        publishers: tuple[Publisher, ...] = ()
        breaches = []
        for file, rule, wanted in rules:
            root = file.trusted_root
            publishers = verify(self._verifying.setdefault(root, Attestations(self._client, root)))
            if problem := attestation_problem(publishers, wanted, channel):
                breaches.append(file.breach(rule, label, f"{label} {problem}"))
        return Attested(publishers=publishers, breaches=tuple(breaches)) if rules else None
