"""The conda plugin of bridge (entry point group `conda`): the hooks, and nothing that takes time to import.

conda imports this module each time it starts, so every hook imports its part when conda calls it. A hook that the
running conda does not know (23.11 knows subcommands and health checks only) is never called. Nothing else in bridge
imports this package, and only this package imports conda.

Source: conda's `conda/plugins/hookspec.py` and `types.py`, 23.11 to 26.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

__all__ = [
    "conda_environment_exporters",
    "conda_environment_specifiers",
    "conda_health_checks",
    "conda_package_extractors",
    "conda_post_solves",
    "conda_pre_transaction_actions",
    "conda_subcommands",
]

Hook = TypeVar("Hook", bound=Callable[..., object])

PATTERNS = ("*.bridge.yml", "*.bridge.yaml")  # `environment.yml` belongs to conda's own reader and writer


def hook(function: Hook) -> Hook:
    """Mark `function` as an implementation of the conda hook of the same name; without conda it stays as it is."""
    try:
        from conda.plugins import hookimpl
    except ImportError:
        return function
    return cast("Hook", hookimpl(function))


@hook
def conda_subcommands() -> Iterable[object]:
    """`conda bridge …`."""
    from conda.plugins.types import CondaSubcommand

    from bridge.conda_plugin.subcommand import run

    summary = "Conda packages and PyPI wheels in one environment: one solve, one transaction, one audit."
    yield CondaSubcommand(name="bridge", summary=summary, action=run)


@hook
def conda_health_checks() -> Iterable[object]:
    """The findings of `bridge audit` in `conda doctor`, and their repair where conda can offer one (26.5 on)."""
    from conda.plugins.types import CondaHealthCheck

    from bridge.conda_plugin.health import check, fix

    known = getattr(CondaHealthCheck, "__dataclass_fields__", {})
    more = {
        "fixer": fix,
        "summary": "Find what `bridge audit` finds: files without owner, unmet needs of wheels, false records",
        "fix": "Run `bridge audit --fix`",
    }
    yield CondaHealthCheck(name="bridge", action=check, **{key: more[key] for key in more if key in known})


@hook
def conda_post_solves() -> Iterable[object]:
    """The warning, before conda asks, that a solved change would break what a wheel needs."""
    from conda.plugins.types import CondaPostSolve

    from bridge.conda_plugin.warning import after_solve

    yield CondaPostSolve(name="bridge-needs", action=after_solve)


@hook
def conda_pre_transaction_actions() -> Iterable[object]:
    """The same warning for changes that conda does not solve: archives by path or URL, explicit lists."""
    from conda.plugins.types import CondaPreTransactionAction

    from bridge.conda_plugin.transaction import NeedsAction

    yield CondaPreTransactionAction(name="bridge-needs", action=NeedsAction)


@hook
def conda_environment_specifiers() -> Iterable[object]:
    """Environment files whose conda part and `pip:` part are solved as one."""
    from conda.plugins.types import CondaEnvironmentSpecifier

    from bridge.conda_plugin.specifier import JointEnvironmentSpec

    yield CondaEnvironmentSpecifier(
        name="bridge-environment-yaml",
        aliases=("bridge",),
        default_filenames=PATTERNS,
        description="environment.yml whose conda packages and pip: wheels are solved together",
        environment_spec=JointEnvironmentSpec,
    )


@hook
def conda_environment_exporters() -> Iterable[object]:
    """Environment files whose `pip:` part names each wheel by its URL and hash."""
    from conda.plugins.types import CondaEnvironmentExporter

    from bridge.conda_plugin.exporter import export

    yield CondaEnvironmentExporter(
        name="bridge-environment-yaml",
        aliases=("bridge",),
        default_filenames=PATTERNS,
        description="environment.yml whose pip: part names each wheel by URL and hash",
        export=export,
    )


@hook
def conda_package_extractors() -> Iterable[object]:
    """Wheels that explicit lists and clones name by URL, from conda 26.7 on.

    conda 26.5 asks the hook too, but names the record after the wheel's file and cannot remove such a package.
    """
    from conda import __version__

    year, month = (int(part) for part in __version__.split(".")[:2])
    if (year, month) < (26, 7):
        return
    from conda.plugins.types import CondaPackageExtractor

    from bridge.conda_plugin.extractor import extract

    yield CondaPackageExtractor(name="bridge-wheel", extensions=[".whl"], extract=extract)
