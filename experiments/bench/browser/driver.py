"""A headless Chromium, driven by the WebDriver protocol (https://www.w3.org/TR/webdriver2/) with the standard library.

It needs `chromedriver` and a Chromium or Chrome on the PATH: on Debian `apt install chromium chromium-driver`.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def browser_missing() -> str:
    """Returns what a browser needs and is not on the PATH, empty where all is there."""
    if shutil.which("chromedriver") is None:
        return "no chromedriver on the PATH"
    return "" if _browser() else f"none of {', '.join(_BROWSERS)} on the PATH"


def _browser() -> str | None:
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


class Browser:
    """One browser window without a network: no name is resolved, and what pages request is recorded.

    A context manager. Raises RuntimeError where the browser is missing or an instruction fails.
    """

    def __init__(self, width: int = 1500, height: int = 950) -> None:
        if missing := browser_missing():
            raise RuntimeError(missing)
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--window-size={width},{height}", "--host-resolver-rules=MAP * ~NOTFOUND",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            self._url = f"http://127.0.0.1:{self._port()}"
            chrome = {"args": flags, "binary": _browser()}
            asked = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
            started = cast("dict[str, str]", self._send("POST", "/session", {"capabilities": {"alwaysMatch": asked}}))
            self._url += f"/session/{started['sessionId']}"
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise

    def _port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "started successfully on port" in line:
                return int(line.rstrip(".\n ").rpartition(" ")[2])
        raise RuntimeError("expected chromedriver to name its port, but it ended")

    def _send(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()[:500]}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._send("DELETE", "")
        finally:
            self._process.terminate()
            self._process.communicate(timeout=10)

    def open(self, url: str) -> None:
        """Loads a page; returns once its scripts have run."""
        self._send("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Returns what the body of a function returns, which may use `arguments[0]` and so on."""
        return self._send("POST", "/execute/sync", {"script": script, "args": arguments})

    def run_async(self, script: str, *arguments: object) -> Any:
        """Returns what the body of a function gives to its last argument, a callback."""
        return self._send("POST", "/execute/async", {"script": script, "args": arguments})

    def prefer(self, scheme: str) -> None:
        """Sets the colour scheme that the reader prefers, `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        command = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self._send("POST", "/goog/cdp/execute", command)

    def _element(self, selector: str) -> str:
        found = self._send("POST", "/element", {"using": "css selector", "value": selector})
        return str(next(iter(found.values())))

    def click(self, selector: str) -> None:
        """Clicks on the first element that a CSS selector finds."""
        self._send("POST", f"/element/{self._element(selector)}/click", {})

    def type(self, selector: str, keys: str) -> None:
        """Types into the first element that a CSS selector finds; keys without a letter are WebDriver's code points."""
        self._send("POST", f"/element/{self._element(selector)}/value", {"text": keys})

    def text(self, selector: str) -> str:
        """Returns the text of an element, as it is shown."""
        return str(self._send("GET", f"/element/{self._element(selector)}/text"))

    def screenshot(self, path: Path) -> None:
        """Writes a picture of what is in view, as PNG."""
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def print_page(self) -> bytes:
        """Returns the page as a PDF."""
        return base64.b64decode(self._send("POST", "/print", {"background": True}))

    def messages(self) -> list[str]:
        """Returns what the page wrote to the console since the last call: errors and violations of its policy."""
        return [str(entry["message"]) for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Returns the addresses that pages requested since the last call."""
        time.sleep(0.2)  # the log comes behind
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return self._send("POST", "/se/log", {"type": kind})
