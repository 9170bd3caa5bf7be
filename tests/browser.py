"""A real browser for tests of pages; where there is none, they are skipped with the reason."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Seen:
    """A page in a browser that has no network, and what went wrong in it."""

    page: Any
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give a headless Chromium with a profile of its own."""
    if CHROMIUM is None:
        if os.environ.get("QCTKIT_BROWSER") == "required":
            pytest.fail("no Chromium is installed, and QCTKIT_BROWSER says that there must be one")
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=list(ARGUMENTS),
            viewport={"width": 1280, "height": 800},
        )
        yield browser
        browser.close()


def look(browser: Any, address: str | Path) -> Seen:
    """Open an address and note every error, and every request for anything else."""
    seen = Seen(browser.new_page())
    seen.page.on("console", lambda one: seen.troubles.append(f"{one.type}: {one.text}"))
    seen.page.on("pageerror", lambda one: seen.troubles.append(str(one)))
    seen.page.on("request", lambda one: seen.requests.append(one.url[:200]))
    seen.page.goto(address if isinstance(address, str) else address.as_uri())
    return seen
