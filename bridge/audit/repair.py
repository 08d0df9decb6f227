"""The command lines that repair, in one place: no check spells a command by itself."""

from __future__ import annotations

from bridge.audit.claims import Owner
from bridge.audit.view import View
from bridge.model import Distribution

__all__ = ["fix", "pip", "recover", "restore", "satisfy_conda", "satisfy_wheel", "uninstall", "update"]


def recover(view: View) -> tuple[str, ...]:
    """Settle an interrupted transaction."""
    return ("bridge", "recover", "-p", str(view.state.prefix))


def fix(view: View) -> tuple[str, ...]:
    """Let bridge put right what it can put right by itself."""
    return ("bridge", "audit", "-p", str(view.state.prefix), "--fix")


def restore(view: View, owner: Owner) -> tuple[str, ...]:
    """Put an owner's files back: bridge where there is a record, pip for what pip answers for."""
    distribution = owner.distribution
    if distribution is None:
        return fix(view)
    return pip(view, "install", "--force-reinstall", "--no-deps", f"{distribution.name}=={distribution.version}")


def satisfy_conda(view: View, spec: str) -> tuple[str, ...]:
    """Install what a conda record asks for."""
    return ("bridge", "install", "-p", str(view.state.prefix), f"conda:{spec}")


def satisfy_wheel(view: View, requirement: str) -> tuple[str, ...]:
    """Install what a dist-info asks for, from wherever it can be had."""
    return ("bridge", "install", "-p", str(view.state.prefix), requirement)


def pip(view: View, *words: str) -> tuple[str, ...]:
    """Run the pip of the prefix's own python."""
    python = "python.exe" if view.target.is_windows else "bin/python"
    return (str(view.state.prefix / python), "-m", "pip", *words)


def uninstall(view: View, distribution: Distribution) -> tuple[str, ...]:
    """Take away what pip put there."""
    return pip(view, "uninstall", "--yes", distribution.name)


def update(view: View, package: str) -> tuple[str, ...]:
    """Bring a package that bridge manages to what fits."""
    return ("bridge", "update", "-p", str(view.state.prefix), package)
