"""bridge: conda packages and PyPI wheels in one environment, resolved and installed as one."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("conda-bridge")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
