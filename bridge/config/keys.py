"""The keys of bridge's configuration files: their names, types and meanings, and the JSON schema for editors. Pure.

A file is the user's or the system's `bridge/config.toml`, or `[tool.bridge]` of a project's pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from converters.deferred import dataclass

__all__ = ["KEYS", "KEY_OF_OPTION", "OF_ONE_RUN", "PROJECT_TABLES", "Key", "Kind", "key_of", "schema"]

Kind = Literal["text", "texts", "flag", "seconds", "count", "bindings", "cooldown"]
Places = Literal["none", "path", "location", "url"]

OF_ONE_RUN = frozenset({"override_channels", "override_frozen", "json"})
"""Options that no file sets: they mean one command line. For `override_frozen` CEP 22 demands it."""

PROJECT_TABLES = ("dependencies", "audit", "policy", "convert")
"""Keys of `[tool.bridge]` that are no settings: other readers check them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key.

    :param option: the parameter of `bridge.config.load`. `choices`: the only texts; empty: any.
    :param places: `path`: relative to the file's folder; `location`: the same, or a URL; `url`: the same only where
        the text starts with a dot, for it may be a name.
    :param is_guarded: it changes what this machine trusts, so that no project may set it.
    """

    name: str
    option: str
    kind: Kind
    meaning: str
    choices: tuple[str, ...] = ()
    places: Places = "none"
    is_guarded: bool = False


def _key(
    name: str,
    kind: Kind,
    meaning: str,
    *,
    choices: str = "",
    places: Places = "none",
    is_guarded: bool = False,
    option: str | None = None,
) -> Key:
    return Key(
        name=name,
        option=option or name.replace("-", "_"),
        kind=kind,
        meaning=meaning,
        choices=tuple(choices.split()),
        places=places,
        is_guarded=is_guarded,
    )


# fmt: off
_ALL = (
    _key("prefix", "text", "The environment, unless -p or -n names one.", places="path"),
    _key("name", "text", "The environment by its name, unless -p or -n names one."),
    _key("channels", "texts", "Conda channels, highest priority first, for environments that have none yet.",
         places="url", option="channel"),
    _key("channel-priority", "text", "Whether only the first channel that has a package serves it.",
         choices="strict flexible"),
    _key("index-url", "text", "The package index.", places="url"),
    _key("extra-index-url", "texts", "More package indexes.", places="url"),
    _key("index", "bindings", "Projects, each with the URL of the only index that may serve it.", places="url"),
    _key("index-strategy", "text", "Whether only the first index that has a project serves it.",
         choices="first best"),
    _key("find-links", "texts", "Directories of files, or pages that link to files.", places="location"),
    _key("no-index", "flag", "Use no package index."),
    _key("name-map", "text", "A JSON file or URL: conda name -> list of PyPI names.", places="location"),
    _key("platform", "text", "The target platform."),
    _key("virtual-package", "bindings", "Virtual packages of the target: name -> version."),
    _key("from", "texts", "Directories of archives that are searched before the network.", places="path"),
    _key("prefer", "text", "Which ecosystem to prefer if both have a package.", choices="conda wheel newest"),
    _key("only", "bindings", "Packages, each with the only ecosystem that may serve it: conda or wheel."),
    _key("exclude-newer", "cooldown", "Ignore what was published later: a date or a duration; NAME=… for exceptions."),
    _key("policy", "text", "A policy file, which holds beside the project's.", places="path", is_guarded=True),
    _key("offline", "flag", "Use only the caches."),
    _key("no-build", "flag", "Never build a source distribution."),
    _key("pre", "flag", "Allow pre-releases of wheels."),
    _key("patience", "seconds", "How long a search may take."),
    _key("adopt", "flag", "Take over existing files that no package owns, if they are equal."),
    _key("set-aside", "flag", "Rename existing files that no package owns."),
    _key("allow-clobber", "texts", "Which package yields where two bring one path."),
    _key("allow-link-scripts", "flag", "Run link scripts of conda packages.", is_guarded=True),
    _key("allow-external-symlinks", "flag", "Accept conda packages with symlinks that leave the prefix.",
         is_guarded=True),
    _key("refuse-startup-code", "flag", "Refuse wheels with code that runs at every start of python."),
    _key("compile", "flag", "Compile modules to bytecode."),
    _key("lock-timeout", "seconds", "How long to wait for another process."),
    _key("durability", "text", "How much is synced to disk before a change is committed.",
         choices="full batched none"),
    _key("link-mode", "text", "How files come from the cache: as clones where the file system can, as copies, or as "
         "hard links, which all environments share.", choices="auto clone copy hardlink"),
    _key("yes", "flag", "On a terminal: do not ask before a change.", is_guarded=True),
    _key("quiet", "flag", "Print only errors and warnings."),
    _key("verbose", "flag", "Print more details."),
    _key("no-progress", "flag", "Do not show progress."),
    _key("color", "text", "When to use colours.", choices="auto always never"),
    _key("cache-dir", "text", "The directory of the caches.", places="path", is_guarded=True),
    _key("ca-bundle", "text", "Certificates of the authorities to trust.", places="path", is_guarded=True),
    _key("client-cert", "text", "The certificate of this client.", places="path", is_guarded=True),
    _key("proxy", "text", "The proxy for all requests.", is_guarded=True),
    _key("trusted-host", "texts", "Hosts whose certificate is not verified.", is_guarded=True),
    _key("timeout", "seconds", "How long to wait for an answer of a server."),
    _key("retries", "count", "How often a request is repeated."),
    _key("keyring-provider", "text", "Where to ask for credentials.", choices="auto import subprocess disabled",
         is_guarded=True),
    _key("build-network", "flag", "Allow builds to use the network.", is_guarded=True),
    _key("build-timeout", "seconds", "How long one build may take; 0: no limit."),
    _key("build-confinement", "text", "What to do where a build cannot be confined: best warns, full refuses.",
         choices="best full", is_guarded=True),
    _key("build-env", "texts", "Variables that builds may see.", is_guarded=True),
)
# fmt: on
KEYS: Mapping[str, Key] = {each.name: each for each in _ALL}
KEY_OF_OPTION: Mapping[str, Key] = {each.option: each for each in _ALL}


def key_of(text: str) -> Key | None:
    """Return the key that a person means by `index_url`, `--index-url` or `channel`; `None`: there is none."""
    name = text.strip().lower().lstrip("-").replace("_", "-")
    return KEYS.get(name) or KEY_OF_OPTION.get(name.replace("-", "_"))


def schema(*, is_project: bool = False) -> dict[str, object]:
    """The JSON schema of a config.toml, or of `[tool.bridge]` in a pyproject.toml (draft 2020-12)."""
    properties = {each.name: _property(each) for each in _ALL if not (is_project and each.is_guarded)}
    if is_project:
        properties["dependencies"] = {"description": "MatchSpecs that the project needs.", **_TEXTS}
        properties |= {name: {"type": "object"} for name in PROJECT_TABLES[1:]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:bridge:schema:{'tool.bridge' if is_project else 'config.toml'}",
        "title": "[tool.bridge] of a pyproject.toml" if is_project else "bridge/config.toml",
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "additionalProperties": False,
    }


_TEXT: Mapping[str, object] = {"type": "string", "minLength": 1}
_TEXTS: Mapping[str, object] = {"type": "array", "items": _TEXT}
_TYPES: Mapping[Kind, Mapping[str, object]] = {
    "text": _TEXT,
    "texts": {"anyOf": [_TEXT, _TEXTS]},
    "cooldown": {"anyOf": [_TEXT, _TEXTS]},
    "flag": {"type": "boolean"},
    "seconds": {"type": "number", "minimum": 0},
    "count": {"type": "integer", "minimum": 0},
    "bindings": {"anyOf": [{"type": "object", "additionalProperties": _TEXT}, _TEXTS]},
}


def _property(key: Key) -> dict[str, object]:
    return {"description": key.meaning, **({"enum": list(key.choices)} if key.choices else _TYPES[key.kind])}
