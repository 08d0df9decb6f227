"""bridge: conda packages and PyPI wheels in one environment, resolved and installed as one."""

__version__ = "0.1.0"
