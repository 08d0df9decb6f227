"""The declarations of commands: arguments, options, help; one module for each group of related commands.

Importing this package adds its commands to `bridge.cli.group.cli`. What a command needs is imported when it runs.
"""

from __future__ import annotations
