"""The hooks of the conda plugin (entry point group `conda`).

conda imports this module at every start, so each hook imports its part when it is called. conda never calls hooks that
it does not know (23.11 knows subcommands and health checks only). Nothing else in bridge imports this package, and
only this package imports conda.

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
    """Mark `function` as the implementation of a conda hook; without conda return it unchanged."""
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
    """`bridge audit` in `conda doctor`, with its repair from conda 26.5 on."""
    from conda.plugins.types import CondaHealthCheck

    from bridge.conda_plugin.health import check, fix

    known = getattr(CondaHealthCheck, "__dataclass_fields__", {})
    more = {
        "fixer": fix,
        "summary": "Run `bridge audit`: files without an owner, unmet requirements of wheels, wrong records",
        "fix": "Run `bridge audit --fix`",
    }
    yield CondaHealthCheck(name="bridge", action=check, **{key: more[key] for key in more if key in known})


@hook
def conda_post_solves() -> Iterable[object]:
    """Warn before conda asks, if a solved change would break a requirement of a wheel."""
    from conda.plugins.types import CondaPostSolve

    from bridge.conda_plugin.warning import after_solve

    yield CondaPostSolve(name="bridge-needs", action=after_solve)


@hook
def conda_pre_transaction_actions() -> Iterable[object]:
    """The same warning for changes without a solve: archives by path or URL, explicit lists."""
    from conda.plugins.types import CondaPreTransactionAction

    from bridge.conda_plugin.transaction import NeedsAction

    yield CondaPreTransactionAction(name="bridge-needs", action=NeedsAction)


@hook
def conda_environment_specifiers() -> Iterable[object]:
    """Environment files whose conda and `pip:` parts are solved together."""
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
    """Environment files that name each wheel by URL and hash."""
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
    """Wheels in explicit lists and clones, from conda 26.7 on.

    conda 26.5 calls the hook too, but names the record after the wheel's file and cannot remove such a package.
    """
    from conda import __version__

    year, month = (int(part) for part in __version__.split(".")[:2])
    if (year, month) < (26, 7):
        return
    from conda.plugins.types import CondaPackageExtractor

    from bridge.conda_plugin.extractor import extract

    yield CondaPackageExtractor(name="bridge-wheel", extensions=[".whl"], extract=extract)
