"""The built site, served on this machine, and a headless browser that opens it."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--site", type=Path, required=True, help="folder of the built HTML")


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.config.getoption("--site")
    return folder.resolve()


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each on standard error."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    named = os.environ.get("SPIKEMNIST_BROWSER")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        names = ", ".join(BROWSERS)
        pytest.fail(f"none of {names} is installed: install one, or name it in SPIKEMNIST_BROWSER")
    with sync_playwright() as playwright:
        # Root has no sandbox; the pages are ours.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
