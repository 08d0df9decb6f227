"""The declarations of commands: arguments, options, help; one module for each group of related commands.

Importing a module adds its commands to `bridge.cli.group.cli`, whose table `COMMANDS` names the module of each. What a
command needs is imported when it runs: help and usage errors load no library that only a command needs.
"""

from __future__ import annotations
