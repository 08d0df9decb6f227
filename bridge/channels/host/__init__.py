"""The channel `host`: the interpreter that runs bridge, packed as the conda packages `python` and `python_abi`.

It allows environments where no conda channel can be reached.
"""

from bridge.channels.host.channel import HOST, HostChannel
from bridge.channels.host.layout import Interpreter

__all__ = ["HOST", "HostChannel", "Interpreter"]
