"""Chromium without a window, driven over its pipe (the DevTools protocol); no library is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Page", "opened"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_WORDS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
          "--remote-debugging-pipe", "--hide-scrollbars")  # fmt: skip
# The protocol's pipe is on the file descriptors 3 and 4.
_PIPED = """import fcntl, os, sys
copies = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]
for number, copy in zip((3, 4), copies):
    os.dup2(copy, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One page of a browser. `console` has what it wrote there, errors included."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._number = 0
        self._rest = b""
        self._session: str | None = None
        self.console: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: object) -> Any:  # noqa: ANN401 - whatever the protocol answers
        """Call a method of the protocol. Raises `RuntimeError`."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._reader, 1 << 20)
            if not read:
                raise RuntimeError("the browser has ended")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("method") in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
            self.console.append(json.dumps(answer["params"])[:2000])
        return answer

    def open(self, path: Path, width: int = 1280, *, scripts: bool = True) -> None:
        """Open a file in a window of this width, and wait until it is loaded."""
        self.size(width)
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + 60
        while self.run("document.readyState + location.href") != f"complete{path.as_uri()}":
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path} was not loaded")
            time.sleep(0.02)

    def size(self, width: int, height: int = 900) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, text: str) -> Any:  # noqa: ANN401 - whatever the script returns
        """The value of an expression; a promise is waited for. Raises `RuntimeError`."""
        done = self.send("Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(str(done["exceptionDetails"])[:1000])
        return done["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **({"text": key} if len(key) == 1 else {}))

    def picture(self, target: Path, *, whole: bool = True) -> None:
        done = self.send("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        target.write_bytes(base64.b64decode(done["data"]))

    def pdf(self) -> bytes:
        """The page on paper."""
        done = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False)
        return base64.b64decode(done["data"])


@contextmanager
def opened(profile: Path) -> Iterator[Page]:
    """A new browser; skips the test where there is none."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser is on PATH (looked for {', '.join(BROWSERS)})")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    words = [sys.executable, "-c", _PIPED, str(theirs_in), str(theirs_out), program, *_WORDS]
    words.append(f"--user-data-dir={profile}")
    with subprocess.Popen(
        words, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(ours_in, ours_out)
        finally:
            process.terminate()
            process.wait(20)
            os.close(ours_out)
            os.close(ours_in)
