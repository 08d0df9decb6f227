"""What a build gets to see: the variables of its environment, and which files are hidden from it.

Both are lists of what is allowed: nobody knows the names of all secrets.
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

# What compilers, linkers and build systems read. BRIDGE_BUILD_ENV names further variables.
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
# Of these, the names above may speak of another environment than that of the build.
_FOREIGN = re.compile(r"(CONDA|MAMBA|PIXI|_CE_|PIP_|UV_|BRIDGE_|PYTHON|VIRTUAL_ENV|PIPENV|POETRY|XDG_)")
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|AUTH|PRIVATE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_FOR_ALL = ("/run/secrets", "/var/run/secrets", "/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/kubernetes", "/root")
_LAYERED = frozenset({".local", ".config", ".cache", ".cargo", ".conda"})  # of these only what is needed is kept


def build_environment(settings: Settings, scratch: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a build, made of the person's own (`environ`).

    What names the prefix, looks like a secret or holds a URL with credentials is left out, whatever its name. Home and
    temporary files go below `scratch`. With `--build-network` the proxies are there, if they hold no credentials.
    """
    prefixes = _spellings(settings.prefix, environ.get("CONDA_PREFIX"))
    named = set(settings.builds.variables)
    if settings.builds.network:
        named |= {spelled for name in _PROXIES for spelled in (name, name.lower())}
    found = {
        name: value
        for name, value in environ.items()
        if (name in named or (_ALLOWED.match(name) and not _FOREIGN.match(name) and not _SECRET.search(name)))
        and (name in settings.builds.variables or hidden(value) == value)
        and not any(prefix in value for prefix in prefixes)
    }
    found["PATH"] = os.pathsep.join(_outside(environ.get("PATH", os.defpath).split(os.pathsep), prefixes))
    rustup = home_directory(environ) / ".rustup"
    if rustup.exists():
        found.setdefault("RUSTUP_HOME", str(rustup))
    home, temporary = str(scratch / "home"), str(scratch / "tmp")
    found |= {"HOME": home, "USERPROFILE": home, "TMPDIR": temporary, "TMP": temporary, "TEMP": temporary}
    found |= {"PYTHONNOUSERSITE": "1", "PYTHONPYCACHEPREFIX": str(scratch / "tmp" / "pycache"), "NO_COLOR": "1"}
    return found | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _spellings(*prefixes: Path | str | None) -> set[str]:
    named = {os.path.abspath(prefix) for prefix in prefixes if prefix}
    return {spelling for prefix in named for spelling in (prefix, os.path.realpath(prefix)) if spelling != os.sep}


def _outside(entries: Iterable[str], prefixes: Iterable[str]) -> list[str]:
    """The entries of PATH that lie in none of the prefixes."""
    kept = []
    for entry in entries:
        places = {os.path.abspath(entry), os.path.realpath(entry)}
        if not any(_is_below(place, prefix) for place in places for prefix in prefixes):
            kept.append(entry)
    return kept


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def kept_paths(environment: Mapping[str, str]) -> list[str]:
    """What a build must be able to read: interpreters, what they import, and the folders of PATH."""
    named = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.executable, *sys.path]
    named += environment.get("PATH", "").split(os.pathsep)
    named += [environment[name] for name in ("RUSTUP_HOME", "CUDA_HOME", "JAVA_HOME") if name in environment]
    found = {os.path.abspath(path) for path in named if os.path.isabs(path)}
    return sorted(found | {os.path.realpath(path) for path in found})


def hidden_paths(settings: Settings, environ: Mapping[str, str], kept: Sequence[str]) -> list[str]:
    """Files and folders that hold secrets: dot-files of the home folder but for what is `kept`, and known others."""
    home = os.path.realpath(home_directory(environ))
    found = set(_of_home(home, kept)) if home != os.sep else set()
    named = [*_FOR_ALL, *configuration_files(environ), str(settings.cache_dir), settings.client_cert or ""]
    named += [environ.get(name, "") for name in ("NETRC", "SSH_AUTH_SOCK", "AWS_SHARED_CREDENTIALS_FILE", "KUBECONFIG")]
    named += [environ.get(name, "") for name in ("XDG_RUNTIME_DIR", "GOOGLE_APPLICATION_CREDENTIALS", "DOCKER_CONFIG")]
    for path in named:
        place = os.path.realpath(path) if path else ""
        if place not in {"", os.sep, home, os.devnull} and not any(_is_below(each, place) for each in kept):
            found.add(place)
    return sorted(path for path in found if os.path.exists(path))


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


def _not_kept(folder: str, kept: Sequence[str]) -> Iterator[str]:
    """The parts of a folder that hold nothing that is kept."""
    if any(_is_below(folder, each) for each in kept):
        return
    if not any(_is_below(each, folder) for each in kept):
        yield folder
        return
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        yield from _not_kept(os.path.join(folder, name), kept)
