"""What to do after an error whose place of origin names no next step, by the id of the error.

A hint at the place of the error beats these: it can name the file, the package or the command.
"""

from __future__ import annotations

from bridge.errors import BridgeError

__all__ = ["STEPS", "STEPS_BY_EXIT", "next_step"]

_AGAIN = "run it again"
_CONFIGURED = "correct that file; BRIDGE_NO_CONFIG=1 reads no configuration"
_SERVER = "a file: check its path; an answer of a server: try another one, or report it to its operator"
_URL = "a URL has a scheme, a host and a path: https://HOST/PATH"

STEPS = {
    "acceptance-file": "`bridge audit --baseline FILE` writes such a file",
    "advisory-answer": "try again later, or name other advisories: --vulnerabilities URL, FILE or DIR",
    "attestation-invalid": "do not use the file before its publisher has explained this",
    "batch-file": "check the path; each line is one JSON object (`bridge resolve --help`)",
    "build-failed": "read the output of the build; --no-build takes only what is built",
    "cancelled": _AGAIN,
    "channel-unreachable": "try again, or name another channel with -c",
    "clock-invalid": "unset BRIDGE_NOW",
    "command-not-executable": "chmod +x makes a script a program",
    "configuration-file": _CONFIGURED,
    "configuration-value": "bridge config set KEY VALUE; `bridge config schema` shows what each key takes",
    "encoding": _SERVER,
    "environment-in-use": "close the programs that run in it, then try again",
    "extract-failed": "bridge cache --verify finds damaged archives, and --prune removes them",
    "failpoint-unknown": "unset BRIDGE_FAILPOINT",
    "file-missing": "check the path",
    "hash-missing": "its owner can write the index again, with hashes: bridge index DIR",
    "host-fault": "take python from a channel: -c conda-forge",
    "invalid-channel": "a channel is a name, NAME/label/LABEL, a URL or a folder",
    "invalid-matchspec": "write NAME, 'NAME >=1', NAME=1.0=BUILD or CHANNEL::NAME",
    "invalid-requirement": "write NAME, 'NAME>=1', 'NAME @ https://…', or the path of an archive or a project",
    "io-error": "check that the disk has free space and is writable",
    "interrupted": _AGAIN,
    "json-invalid": _SERVER,
    "license-rule": "write an SPDX identifier (MIT), a pattern (BSD-*), or NOASSERTION for none",
    "link-failed": "bridge cache --verify finds damaged archives, and --prune removes them",
    "lock-format": "choose another with --format",
    "lock-invalid": "write the lock again: bridge lock -r FILE",
    "lock-outdated": "write the lock again: bridge lock",
    "lock-unsupported": "move the environment to a local file system",
    "name-map": 'write a JSON object: {"pytorch": ["torch"]}',
    "no-directory": "name a directory that exists",
    "not-an-environment": "`bridge env list` shows the environments",
    "not-found": "check the path; mkdir -p DIR makes the directories above it",
    "not-portable": "name the platforms: --platform linux-64 --platform win-64",
    "not-reached": "check the URL, the network and the proxy settings",
    "nothing-active": 'eval "$(bridge activate -n NAME)" enters an environment',
    "offline": "run it once without --offline",
    "path-exists": "choose another directory, or remove that one",
    "path-special": "choose another name for the file",
    "pip-configuration": "`pip config list` shows where it is set; BRIDGE_NO_CONFIG=1 does not read it",
    "policy": "each finding names its rule: choose another package, or change that rule",
    "policy-file": "check the path; the policy is [tool.bridge.policy] in a pyproject.toml, the whole file elsewhere",
    "prefix-too-long": "choose a shorter path for the environment",
    "prefix-unreadable": "see who may read it: ls -ld DIR",
    "project-file": "correct that file; `bridge config schema --project` has the keys of [tool.bridge]",
    "project-name": "a name has letters, digits, `.`, `_` and `-`",
    "record-hash": "bridge cache --verify finds damaged archives, and --prune removes them",
    "recording": "check the path; `bridge resolve --record FILE` writes a recording",
    "report-folder": "make that directory first: mkdir -p DIR",
    "repodata-invalid": "try again, or name another channel with -c; its owner can write the index again",
    "requirement-file": "check the path, and whether the file's own tool accepts it",
    "requirement-invalid": "--drop-dependency PROJECT leaves the requirement out of the converted package",
    "requirement-untranslatable": "--dependency-rename, --drop-dependency and --add-dependency replace the requirement",
    "reserved-path": "such a package damages environments: report it to its authors, or choose another version",
    "source-changed": "lock it again: bridge lock --upgrade NAME",
    "staged-mismatch": "another program or the disk changed the files meanwhile: run it again",
    "transaction-id-invalid": "unset BRIDGE_TXN_ID",
    "truncated": "run it again: what was downloaded already is kept",
    "trusted-root": "check the file that `trusted-root` names; without that key the trust root of the library applies",
    "unknown-extra": "leave the extra out, or choose a version that has it",
    "unknown-package": "name more channels with -c; in a pattern, `*` stands for any text",
    "url-invalid": _URL,
    "url-refused": _URL,
    "url-unsupported": _URL,
    "usage": "bridge COMMAND --help shows what it takes",
    "version-untranslatable": "bridge install takes the wheel as it is, without a conversion",
}
"""Id → the next step."""

STEPS_BY_EXIT = {
    2: "bridge COMMAND --help shows what it takes",
    3: "choose another version or build, or report it to its publisher",
    5: "it differs from what was announced: try again; if it happens again, report it to its publisher",
    7: "check that the disk has free space and is writable",
    10: "check the URL, the network and the proxy settings",
}
"""Exit status → the next step after an error with another id."""


def next_step(error: BridgeError) -> str | None:
    """The hint of an error, its own or by its kind; `None`: what it says is all that there is to say."""
    return error.hint or STEPS.get(error.id) or STEPS_BY_EXIT.get(error.exit_code)
