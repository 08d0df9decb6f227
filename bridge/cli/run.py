"""One run of a command: settings, renderer, session."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bridge import config
from bridge.cli.failure import Exit
from bridge.cli.render import Renderer
from bridge.config.environments import known_environments, locate
from bridge.errors import BridgeError, UsageError, did_you_mean

if TYPE_CHECKING:
    from bridge.cli.commands.request import Request
    from bridge.cli.session import Session
    from bridge.config.layers import Layer
    from bridge.model import Plan

__all__ = ["Run"]


class Run:
    """One run of a command. `documents` is the module that builds the JSON documents."""

    def __init__(
        self, options: Mapping[str, object], files: Sequence[Layer] | None = None, *, command: str = ""
    ) -> None:
        """:param files: bridge's configuration files (default: those of this environment and directory).
        :param command: its name.
        """
        self._command = command
        known = {key: value for key, value in options.items() if key in config.OPTIONS}
        self.settings = config.load(known, os.environ, files=files)
        settings = self.settings
        self.render = Renderer(
            is_json=settings.json,
            quiet=settings.quiet,
            verbose=settings.verbose,
            progress=settings.progress,
            color=settings.color,
        )

    @contextmanager
    def session(self, request: Request | None = None) -> Iterator[Session]:
        """Open the ports of this run, and print its warnings at the end.

        :param request: its files may name channels and indexes; options of the command line beat them.
        """
        from bridge.cli.opening import open_session

        self.warn(request)
        with (
            self.render.progress() as phases,
            open_session(self.settings, request, phases, tell=lambda text: self.render.warn([text])) as session,
        ):
            if self.render.is_watched:
                session.confirm = partial(self._propose, session)
            if phases is not None:
                phases.waiting, session.watcher = lambda: session.log.oldest, phases.pinned
            if self.settings.traces:
                session.log.tell = self.render.note
            try:
                yield session
            finally:
                self.render.warn(session.warnings)
                if self.settings.verbose and session.log.hosts:
                    self.render.note(session.log.summary)

    def warn(self, request: Request | None) -> None:
        """Print the warnings of the settings and of the request."""
        self.render.warn(self._own_warnings(request))

    def has_warned(self, request: Request | None) -> bool:
        """Whether there were others than these."""
        return self.render.warnings > len(self._own_warnings(request))

    def _own_warnings(self, request: Request | None) -> tuple[str, ...]:
        return (*self.settings.warnings, *(request.warnings if request is not None else ()))

    def _propose(self, session: Session, plan: Plan) -> None:
        """Show a plan with what it fetches, and ask, unless `--yes` was given. Raises `click.Abort`."""
        from bridge.cli.plans import to_fetch

        asks = not self.settings.yes and sys.stdin.isatty()
        self.render.proposal(plan, to_fetch(plan, session.client.has), asks=asks)

    def show(self, value: Callable[[], object], render: Callable[[], None]) -> None:
        """Print a result: a document with `--json`, else text."""
        if self.settings.json:
            self.render.document(value())
        else:
            render()

    def report(self, failures: Collection[BridgeError]) -> None:
        """Print the errors of parts of a result, and end with the highest of their statuses."""
        for failure in failures:
            self.render.error(failure)
        if failures:
            raise Exit(max(failure.exit_code for failure in failures))

    @property
    def documents(self) -> ModuleType:
        from bridge.cli import documents

        return documents

    @property
    def prefix(self) -> Path:
        """The environment. Raises `UsageError` (`no-prefix`, `unknown-environment`)."""
        settings = self.settings
        if settings.prefix is None:
            raise UsageError(
                "no-prefix",
                "no environment was given",
                hint="name one with -n NAME or -p DIR, or activate one; `bridge env list` shows all",
            )
        if settings.name is not None and not settings.prefix.is_dir():
            raise self._unknown(settings.name)
        return settings.prefix

    def environment(self, text: str) -> Path:
        """An environment by its name, or by its path.

        Raises `UsageError` (`unknown-environment`; `ambiguous-environment`: the text is both).
        """
        path = Path(os.path.abspath(text))
        if os.sep in text or text in {os.curdir, os.pardir}:
            return path
        try:
            named = locate(text, self.settings.conda, os.environ)
        except UsageError:  # It cannot be a name.
            if path.is_dir():
                return path
            raise
        if named.is_dir() and (path / "conda-meta").is_dir() and not named.samefile(path):
            raise UsageError(
                "ambiguous-environment",
                f"{text} is the name of an environment, {named}, and a directory here",
                hint=f"say which: -n {text} or -p ./{text}; or give its path, as in ./{text}",
            )
        if not named.is_dir() and not path.is_dir():
            raise self._unknown(text)
        return named if named.is_dir() else path

    def new_prefix(self, request: Request) -> Path:
        """Where `create` makes an environment: as given, else by the name in a file. Raises `UsageError`."""
        names = list(dict.fromkeys(file.name for file in request.files if file.name))
        if self.settings.prefix is not None and self.settings.has_prefix:
            return self.settings.prefix
        if len(names) == 1:
            return locate(names[0], self.settings.conda, os.environ)
        context = (f"the files name several: {', '.join(names)}",) if names else ()
        first = request.requirements[0].text if len(request.requirements) > 1 and not request.files else ""
        hint = "name it with -n NAME or -p DIR"
        if first.isidentifier() and first.lower() not in {"python", "pip"}:
            hint += f"; if {first} is its name: -n {first}"
        raise UsageError("no-prefix", "no new environment was named", context=context, hint=hint)

    def _unknown(self, name: str) -> UsageError:
        known = [each.name for each in known_environments(self.settings.conda, os.environ) if each.name]
        hint = f"{did_you_mean(name, known)} `bridge env list` shows all".strip()
        if self._command in {"install", "sync"}:  # they would fill a new one
            hint += f"; bridge create -n {name} makes one"
        return UsageError("unknown-environment", f"there is no environment named {name!r}", hint=hint)
