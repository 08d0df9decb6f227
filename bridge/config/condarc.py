"""conda's configuration: its `.condarc` files and `CONDA_*` variables, read without importing conda.

Source: conda's documentation, "Using the .condarc conda configuration file" and "Settings", and its
`common/configuration.py` (merging), `base/constants.py` (`SEARCH_PATH`) and `base/context.py`, version 26.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from bridge.config.channel_names import ChannelNames, is_path
from bridge.config.condarc_merge import Layer, merged_list, merged_map, merged_value
from bridge.config.files import read_named
from bridge.config.pip import BOOLEANS, home_directory
from bridge.errors import UsageError
from bridge.secrets import masked
from converters.deferred import dataclass, regex

__all__ = ["CondaConfiguration", "conda_root", "condarc_files", "read_condarc"]

_MAX_SIZE = 1 << 20  # bytes
_NAMES = (".condarc", "condarc")
_DIRECTORY = "condarc.d"
_ALIASES = {
    "channel": "channels", "verify_ssl": "ssl_verify", "insecure": "ssl_verify", "client_cert": "client_ssl_cert",
    "client_cert_key": "client_ssl_cert_key", "whitelist_channels": "allowlist_channels", "envs_path": "envs_dirs",
}  # fmt: skip
_LISTS = ("channels", "default_channels", "pinned_packages", "envs_dirs", "allowlist_channels", "denylist_channels")
_MAPS = ("custom_channels", "custom_multichannels", "proxy_servers", "conda_build")
_VALUES = (
    "channel_alias", "channel_priority", "ssl_verify", "client_ssl_cert", "client_ssl_cert_key", "offline", "croot",
    "bld_path", "remote_read_timeout_secs", "remote_max_retries",
    "add_anaconda_token", "register_envs", "always_yes",
    "always_copy", "always_softlink",
)  # fmt: skip
_KNOWN = frozenset((*_LISTS, *_MAPS, *_VALUES))
# Settings of conda's own shell, output, plugins, caches and solver: they do not change what bridge chooses or installs.
_OF_CONDA_ITSELF = """
    aggressive_update_packages allow_conda_downgrades allow_cycles allow_softlinks
    anaconda_upload auto_activate auto_activate_base auto_stack auto_update_conda binary binstar_upload
    changeps1 clobber conda_exe console debug default_activation_env default_threads deps_modifier dev
    download_only dry_run enable_private_envs env_prompt envvars_force_uppercase environment_specifier
    error_upload_url execute_threads experimental experimental_solver extra_safety_checks fetch_threads force
    force_32bit force_reinstall force_remove ignore_pinned json list_fields local_repodata_ttl log_level no_lock
    no_plugins non_admin_enabled notify_outdated_conda number_channel_notices path_conflict pip_interop_enabled
    pkgs_dirs plugins prefix_data_interoperability protect_frozen_envs quiet remote_backoff_factor
    remote_connect_timeout_secs repodata_fns repodata_threads repodata_use_zst report_errors rollback_enabled
    root_prefix safety_checks sat_solver self_update separate_format_cache shell shortcuts show_channel_urls
    signing_metadata_url_base solver solver_ignore_timestamps trace unsatisfiable_hints
    unsatisfiable_hints_check_depth update_dependencies update_modifier use_index_cache use_lockfiles
    use_sharded_repodata verbose verbosity verify_threads
"""
_VARIABLE = regex(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaConfiguration:
    """What conda is configured to use, as far as bridge honours it.

    :param use_tokens: the tokens of anaconda-client are sent to its channels.
    :param ssl_verify: `False`, or the path of a bundle of certificates; `None`: not configured, or on.
    :param proxies: scheme, or scheme and host → URL, with secrets.
    :param register_envs: new environments are entered in `~/.conda/environments.txt`.
    :param always_yes: nothing is asked before a change. `always_copy`: files are not linked.
    :param sources: key → the files and variables that set it.
    :param warnings: what cannot be honoured, a sentence each.
    """

    channels: tuple[str, ...] = ()
    names: ChannelNames = field(default_factory=ChannelNames)
    channel_priority: str | None = None
    use_tokens: bool = True
    ssl_verify: bool | str | None = None
    client_cert: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    offline: bool = False
    timeout: float | None = None
    retries: int | None = None
    pinned_packages: tuple[str, ...] = ()
    envs_dirs: tuple[str, ...] = ()
    register_envs: bool = True
    always_yes: bool = False
    always_copy: bool = False
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def condarc_files(environ: Mapping[str, str], prefix: Path | None = None) -> list[Path]:
    """The existing configuration files, lowest priority first, in the order that conda documents.

    :param prefix: the environment of the command; conda reads its file in place of `$CONDA_PREFIX`'s.
    """
    if BOOLEANS.get(environ.get("MAMBA_NO_RC", "").lower(), False):  # micromamba's --no-rc
        return []
    home = home_directory(environ)
    if sys.platform == "win32":
        places = [Path("C:/ProgramData/conda")]
    else:
        places = [Path("/etc/conda"), Path("/var/lib/conda")]
    root = conda_root(environ)
    places += [root] if root is not None else []
    if configured := environ.get("XDG_CONFIG_HOME"):
        places.append(Path(configured) / "conda")
    places += [home / ".config" / "conda", home / ".conda"]
    paths = [path for place in dict.fromkeys(places) for path in _in_place(place)]
    paths += _existing([home / ".condarc"])
    active = environ.get("CONDA_PREFIX")
    environment = prefix or (Path(active) if active else None)
    paths += _in_place(environment) if environment is not None else []
    named = environ.get("CONDARC")
    if named:
        path = Path(os.path.expanduser(named))
        paths += _in_directory(path) if path.is_dir() else _existing([path])
    return list(dict.fromkeys(paths))


def conda_root(environ: Mapping[str, str]) -> Path | None:
    """Where conda itself is installed, as far as the environment says so."""
    if root := environ.get("CONDA_ROOT") or environ.get("MAMBA_ROOT_PREFIX"):
        return Path(root)
    program = environ.get("CONDA_EXE")
    return Path(program).parent.parent if program else None


def _in_place(place: Path) -> list[Path]:
    return [*_existing(place / name for name in _NAMES), *_in_directory(place / _DIRECTORY)]


def _in_directory(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix in {".yml", ".yaml"} and path.is_file())
    except OSError:
        return []


def _existing(paths: Iterator[Path] | Sequence[Path]) -> list[Path]:
    return [path for path in paths if os.path.isfile(path)]


def read_condarc(environ: Mapping[str, str], prefix: Path | None = None) -> CondaConfiguration:
    """Read conda's configuration. Raises `UsageError` (`conda-configuration`) for a file that cannot be read."""
    layers = [layer for path in condarc_files(environ, prefix) if (layer := _read(path)) is not None]
    layers += _of_variables(environ)
    return _configuration(layers, environ) if layers else CondaConfiguration(names=_names({}, environ, ()))


def _read(path: Path) -> Layer | None:
    import yaml  # noqa: PLC0415 - 50 ms, which only those pay who have such a file

    try:
        data = read_named(path, limit=_MAX_SIZE)
        if len(data) > _MAX_SIZE:
            raise ValueError(f"it is larger than {_MAX_SIZE} bytes")
        text = data.decode("utf-8-sig")
        document = yaml.safe_load(text)
    except (IsADirectoryError, PermissionError):
        return None
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        raise _wrong(str(path), " ".join(masked(str(error)).split())[:300]) from error
    if document is None:
        return None
    if not isinstance(document, dict):
        raise _wrong(str(path), "a mapping was expected at the top")
    values = {_ALIASES.get(str(key), str(key)): value for key, value in document.items() if value is not None}
    if document.get("insecure") is True:
        values["ssl_verify"] = False
    return Layer.of(str(path), values, text, _ALIASES)


def _of_variables(environ: Mapping[str, str]) -> list[Layer]:
    """`CONDA_<KEY>`: lists are separated by commas, directories as in PATH; a variable cannot set a map."""
    layers = []
    for key in (*_LISTS, *_VALUES):
        variable = f"CONDA_{key.upper()}"
        if key == "envs_dirs" and not environ.get(variable, "").strip():
            variable = "CONDA_ENVS_PATH"
        text = environ.get(variable, "").strip()
        if not text:
            continue
        value: object = text
        if key in _LISTS:
            separator = os.pathsep if key == "envs_dirs" else ","
            value = [part.strip() for part in text.split(separator) if part.strip()]
        layers.append(Layer(source=variable, values={key: value}))
    return layers


def _configuration(layers: Sequence[Layer], environ: Mapping[str, str]) -> CondaConfiguration:
    ask = _Reader(layers, environ)
    warnings = [*ask.unhonoured()]
    names = _names({key: ask.map(key) for key in _MAPS}, environ, ask.list("default_channels"), ask)
    priority = _priority(ask, warnings)
    verify = _verify(ask, warnings)
    if ask.flag("always_softlink"):
        warnings.append(ask.told("always_softlink", "links into a cache break when it is emptied: link-mode hardlink"))
    if ask.text("client_ssl_cert_key") is not None:
        warnings.append(ask.told("client_ssl_cert_key", "put the key into the file that client_ssl_cert names"))
    return CondaConfiguration(
        channels=tuple(each for each in ask.list("channels") if each != "nodefaults"),
        names=names,
        channel_priority=priority,
        use_tokens=ask.flag("add_anaconda_token") is not False,
        ssl_verify=verify,
        client_cert=ask.text("client_ssl_cert"),
        proxies=_proxies(ask),
        offline=ask.flag("offline") or False,
        timeout=ask.number("remote_read_timeout_secs"),
        retries=None if (tries := ask.number("remote_max_retries")) is None else int(tries),
        pinned_packages=ask.list("pinned_packages"),
        envs_dirs=ask.list("envs_dirs"),
        register_envs=ask.flag("register_envs") is not False,
        always_yes=ask.flag("always_yes") or False,
        always_copy=ask.flag("always_copy") or False,
        sources={key: ask.sources(key) for key in sorted(_KNOWN) if ask.sources(key)},
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _priority(ask: _Reader, warnings: list[str]) -> str | None:
    """Conda's three settings; before 4.6 it was a flag. What bridge lacks is `disabled`."""
    text = (ask.text("channel_priority") or "").lower()
    if not text:
        return None
    if text in BOOLEANS:
        text = "flexible" if BOOLEANS[text] else "disabled"
    if text == "disabled":
        warnings.append(ask.told("channel_priority: disabled", "`flexible` is used, which prefers earlier channels"))
        return "flexible"
    if text not in {"strict", "flexible"}:
        raise ask.wrong("channel_priority", "one of strict, flexible, disabled")
    return text


def _verify(ask: _Reader, warnings: list[str]) -> bool | str | None:
    text = ask.text("ssl_verify")
    if text is None or text.lower() in {"<false>", "<true>", "system"} or BOOLEANS.get(text.lower(), False):
        return None
    if text.lower() in BOOLEANS:
        return False
    if text.lower() == "truststore":
        warnings.append(ask.told("ssl_verify: truststore", "name a bundle of certificates in BRIDGE_CA_BUNDLE"))
        return None
    return os.path.expanduser(text)


def _proxies(ask: _Reader) -> dict[str, str]:
    proxies = {}
    for scheme, url in ask.map("proxy_servers").items():
        if not isinstance(url, str):
            raise ask.wrong("proxy_servers", "a mapping of schemes to URLs")
        proxies[scheme.lower()] = url if "://" in url else f"http://{url}"
    return proxies


def _names(
    maps: Mapping[str, Mapping[str, object]],
    environ: Mapping[str, str],
    defaults: Sequence[str],
    ask: _Reader | None = None,
) -> ChannelNames:
    alias = ask.text("channel_alias") if ask is not None else None
    multi = {}
    for name, group in maps.get("custom_multichannels", {}).items():
        texts = [group] if isinstance(group, str) else group
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise _wrong("custom_multichannels", f"{name}: a list of channels was expected")
        multi[name] = tuple(texts)
    custom = {}
    for name, url in maps.get("custom_channels", {}).items():
        if not isinstance(url, str):
            raise _wrong("custom_channels", f"{name}: a URL was expected")
        custom[name] = _as_url(url)
    return ChannelNames(
        alias=None if alias is None else _as_url(alias),
        custom=custom,
        multi=multi,
        defaults=tuple(defaults),
        allowed=ask.list("allowlist_channels") if ask is not None else (),
        denied=ask.list("denylist_channels") if ask is not None else (),
        local=tuple(_local(maps.get("conda_build", {}), environ, ask)),
    )


def _as_url(text: str) -> str:
    """A URL; conda reads what has no scheme as a path, or else as a host."""
    if "://" in text:
        return text
    return Path(text).expanduser().absolute().as_uri() if is_path(text) else f"https://{text}"


def _local(build: Mapping[str, object], environ: Mapping[str, str], ask: _Reader | None) -> Iterator[str]:
    """The directories of conda-build that exist (conda's `conda_build_local_paths`)."""
    named = [ask.text("croot"), ask.text("bld_path")] if ask is not None else []
    root, configured = conda_root(environ), build.get("root-dir", build.get("root_dir"))
    named += [configured if isinstance(configured, str) else None]
    named += [str(root / "conda-bld") if root is not None else None, str(home_directory(environ) / "conda-bld")]
    for text in dict.fromkeys(named):
        path = Path(text).expanduser().absolute() if text else None
        if path is not None and path.is_dir():
            yield path.as_uri()


class _Reader:
    """Merged values with their types checked, and environment variables in them expanded."""

    def __init__(self, layers: Sequence[Layer], environ: Mapping[str, str]) -> None:
        self._layers, self._environ = layers, environ

    def sources(self, key: str) -> tuple[str, ...]:
        return tuple(layer.source for layer in self._layers if key in layer.values)

    def unhonoured(self) -> Iterator[str]:
        for layer in self._layers:
            keys = sorted(layer.values.keys() - _KNOWN - frozenset(_OF_CONDA_ITSELF.split()))
            if keys:
                yield f"{layer.source}: bridge does not honour {', '.join(keys)}"

    def told(self, what: str, instead: str) -> str:
        key = what.partition(":")[0]
        return f"{', '.join(self.sources(key))}: bridge does not honour {what}; {instead}"

    def wrong(self, key: str, expected: str) -> UsageError:
        return _wrong(", ".join(self.sources(key)), f"{key} is not {expected}")

    def text(self, key: str) -> str | None:
        value = merged_value(self._layers, key)
        if value is None:
            return None
        if isinstance(value, (list, dict)):
            raise self.wrong(key, "a single value")
        return self._expanded(str(value))

    def flag(self, key: str) -> bool | None:
        text = self.text(key)
        if text is not None and text.lower() not in BOOLEANS:
            raise self.wrong(key, "true or false")
        return None if text is None else BOOLEANS[text.lower()]

    def number(self, key: str) -> float | None:
        text = self.text(key)
        try:
            value = None if text is None else float(text)
        except ValueError:
            value = -1.0
        if value is not None and not 0 <= value < float("inf"):
            raise self.wrong(key, "a number, 0 or more")
        return value

    def list(self, key: str) -> tuple[str, ...]:
        values = merged_list(self._layers, key)
        if values is None:
            raise self.wrong(key, "a list of texts")
        return tuple(self._expanded(each) for each in values)

    def map(self, key: str) -> dict[str, object]:
        values = merged_map(self._layers, key)
        if values is None:
            raise self.wrong(key, "a mapping")
        return {name: self._expanded(value) if isinstance(value, str) else value for name, value in values.items()}

    def _expanded(self, text: str) -> str:
        return _VARIABLE.sub(lambda match: self._environ.get(match[1] or match[2], match[0]), text)


def _wrong(source: str, reason: str) -> UsageError:
    return UsageError(
        "conda-configuration",
        f"conda's configuration cannot be read: {source}",
        context=(reason,),
        hint="correct the file, or set MAMBA_NO_RC=1 to read none",
    )
