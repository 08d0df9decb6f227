"""The channel `host`: the interpreter that bridge runs on, as a relocatable conda package.

With it an environment can be made where no conda channel can be reached. It offers two packages, `python` and
`python_abi`, and is a channel like any other: records, archives, hashes.
"""

from bridge.channels.host.channel import HostChannel
from bridge.channels.host.layout import Interpreter

__all__ = ["HostChannel", "Interpreter"]
