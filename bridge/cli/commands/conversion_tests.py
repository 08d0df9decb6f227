"""`bridge convert --test`: install each converted wheel into an environment of its own, and import its modules."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bridge import fs
from bridge.cli.commands.request import Request
from bridge.cli.session import Session
from bridge.config import Settings
from bridge.config.activation import activated
from bridge.convert.import_test import import_modules, modules_of
from bridge.convert.job import Conversion, JobResult
from bridge.errors import BridgeError
from bridge.install import plan as plans
from bridge.install.execute import create_prefix
from bridge.install.sources import Sources
from bridge.model import PrefixState
from bridge.paths import META
from bridge.requirements import algebra
from converters.deferred import replace
from converters.names import projects_of_purls
from converters.record import Record
from converters.target import Target

__all__ = ["sentences", "with_tests"]

_SYSTEMS = frozenset({"__win", "__linux", "__osx", "__unix"})


def with_tests(conversion: Conversion, output: Path, session: Session) -> Conversion:
    """Test each wheel that was converted, if one of its packages is for this machine; a failure is the wheel's error.

    :param output: the channel of the packages. Its packages come first, then the channels of the run, else `host`.
    """
    settings = session.settings
    channels = settings.channels if settings.has_channels else ("host",)
    settings = replace(
        settings,
        platform=None,
        channels=(str(output.absolute()), *channels),
        has_channels=True,
        optional_channels=(),
        durability="none",
    )
    return replace(conversion, done=tuple(_tested(each, settings, session) for each in conversion.done))


def _tested(done: JobResult, settings: Settings, session: Session) -> JobResult:
    if done.error is not None or not done.packages:
        return done
    here = [package.record for package in done.packages if _is_for(package.record, session.target)]
    if not here:
        return replace(done, untested=f"none of its packages is for {session.target.subdir}")
    try:
        with (
            Session(settings, session.progress, tell=session.tell) as testing,
            tempfile.TemporaryDirectory(prefix="bridge-test-") as scratch,
        ):
            modules, error = _test(here, Path(scratch), testing)
    except BridgeError as failure:
        return replace(done, error=failure)
    if not modules:
        return replace(done, untested="it has no modules")
    return replace(done, tested=modules, error=error)


def _is_for(record: Record, target: Target) -> bool:
    """Whether a package is for the platform, as far as its subdir and the systems that it depends on say."""
    has = {name for name, _, _ in target.virtual_packages}
    needs = {each.split()[0] for each in record.requirements} & _SYSTEMS
    return record.subdir in {target.subdir, "noarch"} and needs <= has


def _test(records: Sequence[Record], scratch: Path, session: Session) -> tuple[tuple[str, ...], BridgeError | None]:
    """Install the best of a wheel's packages, and import its modules. Raises what a solve and an installation raise.

    The channel may have other builds of the same version, from runs with other rules.
    """
    record = records[0]
    builds = "|".join(re.escape(each.build) for each in records)
    prefix, folder = scratch / "environment", scratch / "work"
    fs.make_directories(folder)
    channels = session.channels(packs_late=True)
    names = session.names(channels.urls)
    request = Request(
        requirements=(algebra.conda_requirement(f"{record.name}[version='=={record.version}',build='^({builds})$']"),)
    )
    resolution = session.resolve(request, channels, names)
    planned = plans.diff(PrefixState(prefix=prefix), resolution, prefix)
    create_prefix(planned, Sources.of(session, channels, names))
    modules = modules_of(_installed(prefix, record), next(iter(projects_of_purls(record.purls)), record.name))
    environ = activated(prefix, str(prefix), os.environ).applied(os.environ)
    error = import_modules(f"{record.name} {record.version}", _python(prefix), modules, folder, environ)
    return modules, error


def _installed(prefix: Path, record: Record) -> Iterator[str]:
    """Yield the package's files below site-packages, by its record in the prefix."""
    for path in (prefix / META).glob(f"{record.name}-{record.version}-*.json"):
        document: Mapping[str, list[str]] = json.loads(path.read_bytes())
        for file in document["files"]:
            _, separator, module = file.replace("\\", "/").partition("/site-packages/")
            if separator:
                yield module


def _python(prefix: Path) -> Path:
    return prefix / ("python.exe" if os.name == "nt" else "bin/python")


def sentences(conversion: Conversion) -> Iterator[str]:
    """What was tested, for people."""
    tested = [each for each in conversion.done if each.tested and each.error is None]
    modules = sum(len(each.tested) for each in tested)
    yield f"tested: {len(tested)} of {len(conversion.done)} wheels, {modules} modules imported"
    for each in conversion.done:
        if each.untested:
            yield f"not tested: {each.name}: {each.untested}"
