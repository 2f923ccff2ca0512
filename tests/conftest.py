"""Fixtures that several test files share: a Chromium, and the book built once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skullnb.report import build_report
from skullnb.report.paper import find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; without one, skip, or fail where a browser is required."""
    missing = ""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed (pip install 'skullnb[browser]')"
    if find_browser() is None:
        missing = "no Chromium on this machine (apt-get install chromium)"
    if missing:
        if os.environ.get("SKULLNB_REQUIRE_BROWSER") == "1":
            pytest.fail(f"a browser is required here, but {missing}")
        pytest.skip(f"browser tests need Chromium: {missing}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the whole book on the phantom, once even when tests run in several processes."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    report, failure = folder / "book" / "report", folder / "book" / "failed"
    try:
        (folder / "book").mkdir()
    except FileExistsError:
        while not report.exists():
            assert not failure.exists(), "the book could not be built; see the first failure"
            time.sleep(0.5)
        return report
    try:
        build_report(output_dir=report)
    except BaseException:
        failure.touch()
        raise
    return report
