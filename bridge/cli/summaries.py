"""The commands as `bridge --help` shows them: by purpose, one line of 80 columns each."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SUMMARIES"]

SUMMARIES: Mapping[str, Mapping[str, str]] = {
    "Change an environment": {
        "create": "Create an environment, which appears complete or not at all.",
        "install": "Add packages in one transaction.",
        "update": "Update packages, or all, to the newest that fit.",
        "remove": "Remove packages, and what was installed only for them.",
        "rollback": "Undo the last change, or go back to a revision.",
        "adopt": "Take over what pip installed, without changing its files.",
        "pin": "Show or change the pins that every change keeps to.",
        "recover": "Finish or undo an interrupted change.",
    },
    "Look at an environment": {
        "list": "List the installed packages and where they came from.",
        "why": "Show why a package is there, and why from its source.",
        "tree": "Show which package requires which.",
        "owner": "Show which packages own a file.",
        "outdated": "Show newer versions, and what holds packages back.",
        "audit": "Find what is broken, who did it, and what repairs it.",
        "history": "List the changes: date, command, packages.",
        "diff": "Compare two environments or locks.",
    },
    "Use an environment": {
        "run": "Run a command in an environment.",
        "shell": "Start a shell in an environment.",
        "activate": "Print the lines that enter an environment.",
        "deactivate": "Print the lines that leave it.",
    },
    "Find and lock packages": {
        "search": "Show what channels and indexes have of a name.",
        "resolve": "Solve, print the solution, write nothing.",
        "lock": "Solve for each platform and write a lock.",
        "sync": "Make an environment exactly what a lock says.",
        "export": "Print an environment in the format of a file.",
        "policy": "Check a lock or an environment by the policy.",
        "fetch": "Write all that a lock needs to a folder.",
    },
    "Make packages and channels": {
        "convert": "Convert wheels to conda packages.",
        "index": "Make a folder of packages a channel.",
        "mirror": "Keep a channel of converted wheels up to date.",
    },
    "bridge itself": {
        "info": "Show versions, the platform, and each setting's source.",
        "config": "Show and change settings.",
        "env": "List or remove environments.",
        "self": "Check whether what runs bridge is sound.",
        "cache": "Show the caches, or make them smaller.",
        "completion": "Print the completion script of a shell.",
        "schema": "Print the JSON schema of a command's output.",
    },
}
