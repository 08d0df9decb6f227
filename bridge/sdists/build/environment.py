"""What a build can see: its environment variables, and the files hidden from it.

Both are allowlists, because nobody knows the names of all secrets.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bridge.config import Settings
from bridge.config.pip import configuration_files, home_directory
from bridge.secrets import hidden

__all__ = ["build_environment", "hidden_paths", "kept_paths"]

# Variables of compilers, linkers and build systems. BRIDGE_BUILD_ENV adds further ones.
_ALLOWED = re.compile(
    r"""(PATH|LANG|LANGUAGE|LC_[A-Z]+|TZ|TZDIR|TERM|SOURCE_DATE_EPOCH|ZERO_AR_DATE
    |CC|CXX|CPP|LD|AR|AS|NM|RANLIB|STRIP|OBJC|OBJCOPY|READELF|FC|F77|F90|CUDACXX|NVCC|MPICC|MPICXX|MPIFC|HIPCC|SWIG
    |(C|CXX|CPP|F|F77|F90|FC|LD|NVCC|OBJC|RUST|ARCH|MAKE|CUDA)FLAGS|[A-Z]+_FLAGS|LDSHARED|LIBS
    |CPATH|INCLUDE|LIB|LIBPATH|C_INCLUDE_PATH|CPLUS_INCLUDE_PATH|OBJC_INCLUDE_PATH|LIBRARY_PATH|LD_LIBRARY_PATH
    |LD_RUN_PATH|COMPILER_PATH|GCC_EXEC_PREFIX|CUDA(_[A-Z_]+)?|CUDAARCHS|TORCH_CUDA_ARCH_LIST|ROCM_(PATH|HOME)|HIP_PATH
    |CMAKE_[A-Z0-9_]+|SKBUILD_[A-Z0-9_]+|MESON_[A-Z0-9_]+|NINJA(_[A-Z0-9_]+)?|PKG_CONFIG(_[A-Z0-9_]+)?|MAKE|MAKELEVEL
    |ACLOCAL_PATH|MAX_JOBS|OMP_NUM_THREADS|OPENBLAS_NUM_THREADS|NPY_[A-Z0-9_]+|MACOSX_DEPLOYMENT_TARGET|SDKROOT
    |DEVELOPER_DIR|JAVA_HOME|RUSTUP_(HOME|TOOLCHAIN)|CARGO_(BUILD|TARGET|PROFILE)_[A-Z0-9_]+|SETUPTOOLS_[A-Z0-9_]+
    |DISTUTILS_[A-Z0-9_]+|(GDAL|GEOS|PG|MYSQL|MARIADB|LLVM|CURL|XML2|XSLT|NC|PYTHON|GSL|NUMPY|FREETYPE|MAGICK)_CONFIG|[A-Z0-9]+_(DIR|ROOT|PREFIX|INCLUDE_DIR|LIBRARY_DIR|LIBDIR)
    |SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT|PROGRAMFILES(\(X86\))?|PROGRAMW6432|COMMONPROGRAMFILES(\(X86\))?
    |PROCESSOR_[A-Z]+|NUMBER_OF_PROCESSORS|VS[A-Z0-9_]*COMNTOOLS|VC[A-Z0-9_]*DIR|WINDOWSSDK[A-Z0-9_]*)\Z""",
    re.VERBOSE,
)
# Names that match above but may describe another environment.
_FOREIGN = re.compile(r"(CONDA|MAMBA|PIXI|_CE_|PIP_|UV_|BRIDGE_|PYTHON|VIRTUAL_ENV|PIPENV|POETRY|XDG_)")
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|AUTH|PRIVATE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_FOR_ALL = ("/run/secrets", "/var/run/secrets", "/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/kubernetes", "/root")
_LAYERED = frozenset({".local", ".config", ".cache", ".cargo", ".conda"})  # only needed parts stay visible


def build_environment(settings: Settings, scratch: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a build, derived from the user's (`environ`).

    Drops any variable that names the prefix, looks like a secret or has a URL with credentials. Home and temporary
    files go below `scratch`. With `--build-network` proxies without credentials stay.
    """
    prefixes = _spellings(settings.prefix, environ.get("CONDA_PREFIX"))
    named = set(settings.builds.variables)
    if settings.builds.network:
        named |= {spelled for name in _PROXIES for spelled in (name, name.lower())}
    variables = {
        name: value
        for name, value in environ.items()
        if (name in named or (_ALLOWED.match(name) and not _FOREIGN.match(name) and not _SECRET.search(name)))
        and (name in settings.builds.variables or hidden(value) == value)
        and not any(prefix in value for prefix in prefixes)
    }
    entries = environ.get("PATH", os.defpath).split(os.pathsep)
    variables["PATH"] = os.pathsep.join(entry for entry in entries if not _is_in(entry, prefixes))
    rustup = home_directory(environ) / ".rustup"
    if rustup.exists():
        variables.setdefault("RUSTUP_HOME", str(rustup))
    home, temporary = str(scratch / "home"), str(scratch / "tmp")
    variables |= {"HOME": home, "USERPROFILE": home, "TMPDIR": temporary, "TMP": temporary, "TEMP": temporary}
    variables |= {"PYTHONNOUSERSITE": "1", "PYTHONPYCACHEPREFIX": str(scratch / "tmp" / "pycache"), "NO_COLOR": "1"}
    return variables | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _spellings(*prefixes: Path | str | None) -> set[str]:
    named = {os.path.abspath(prefix) for prefix in prefixes if prefix}
    return {spelling for prefix in named for spelling in (prefix, os.path.realpath(prefix)) if spelling != os.sep}


def _is_in(entry: str, prefixes: Iterable[str]) -> bool:
    places = {os.path.abspath(entry), os.path.realpath(entry)}
    return any(_is_below(place, prefix) for place in places for prefix in prefixes)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def kept_paths(environment: Mapping[str, str]) -> list[str]:
    """Paths that a build must be able to read: interpreters, their sys.path, and the directories of PATH."""
    named = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.executable, *sys.path]
    named += environment.get("PATH", "").split(os.pathsep)
    named += [environment[name] for name in ("RUSTUP_HOME", "CUDA_HOME", "JAVA_HOME") if name in environment]
    kept = {os.path.abspath(path) for path in named if os.path.isabs(path)}
    return sorted(kept | {os.path.realpath(path) for path in kept})


def hidden_paths(settings: Settings, environ: Mapping[str, str], kept: Sequence[str]) -> list[str]:
    """Paths that may hold secrets: dot-files of the home directory except those in `kept`, and known others."""
    home = os.path.realpath(home_directory(environ))
    paths = set(_of_home(home, kept)) if home != os.sep else set()
    named = [*_FOR_ALL, *configuration_files(environ), str(settings.cache_dir), settings.client_cert or ""]
    named += [environ.get(name, "") for name in ("NETRC", "SSH_AUTH_SOCK", "AWS_SHARED_CREDENTIALS_FILE", "KUBECONFIG")]
    named += [environ.get(name, "") for name in ("XDG_RUNTIME_DIR", "GOOGLE_APPLICATION_CREDENTIALS", "DOCKER_CONFIG")]
    for path in named:
        place = os.path.realpath(path) if path else ""
        if place not in {"", os.sep, home, os.devnull} and not any(_is_below(each, place) for each in kept):
            paths.add(place)
    return sorted(path for path in paths if os.path.exists(path))


def _of_home(home: str, kept: Sequence[str]) -> Iterator[str]:
    try:
        names = os.listdir(home)
    except OSError:
        return
    for name in names:
        path = os.path.join(home, name)
        if name in _LAYERED:
            yield from _not_kept(path, kept)
        elif (name.startswith(".") or name == "_netrc") and not any(_is_below(each, path) for each in kept):
            yield path


def _not_kept(directory: str, kept: Sequence[str]) -> Iterator[str]:
    """The parts of a directory without anything in `kept`."""
    if any(_is_below(directory, each) for each in kept):
        return
    if not any(_is_below(each, directory) for each in kept):
        yield directory
        return
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        yield from _not_kept(os.path.join(directory, name), kept)
