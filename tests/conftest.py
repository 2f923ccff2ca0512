"""What test files share: how examples are drawn, a Chromium, and the book built once a process."""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from joblib import Memory

from skullnb import phantom

# No test is timed, and so no example: any may be slow on a machine with other work.
# In CI they are the same in every run: what fails was changed, and not by chance.
settings.register_profile(
    "untimed",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("untimed")

# Synthetic heads take seconds to draw: all processes of a run have them from one folder.
if "SKULLNB_DRAWN" not in os.environ:
    os.environ["SKULLNB_DRAWN"] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ["SKULLNB_DRAWN"], ignore_errors=True)
once = Memory(os.environ["SKULLNB_DRAWN"], verbose=0).cache
phantom.variant, phantom.published_stack = once(phantom.variant), once(phantom.published_stack)

# Tests ask servers of their own, on this machine; whatever proxy stands before others knows none.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests, so that no process is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    """Close what a test drew, so that the next one does not draw into it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def chromium():
    """Start the system's Chromium; without one, skip, or fail where a browser is required."""
    from skullnb.errors import InvalidSetting
    from skullnb.report.pages import find_browser

    missing = ""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed (pip install --group browser)"
    try:
        program = find_browser()
    except InvalidSetting as error:
        missing = str(error)
    if missing:
        if os.environ.get("SKULLNB_REQUIRE_BROWSER") == "1":
            pytest.fail(f"a browser is required here, but {missing}")
        pytest.skip(f"browser tests need Chromium: {missing}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=180_000
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the whole book: the one named, or one built here."""
    if "SKULLNB_BOOK" in os.environ:
        return Path(os.environ["SKULLNB_BOOK"])
    from skullnb.report.build import build_report

    folder = tmp_path_factory.mktemp("whole") / "book"
    assert build_report(output_dir=folder).failed == ()
    return folder


@pytest.fixture(scope="session")
def html(chromium, built_book):
    """Ask for the browser first: without one, no book is built for nothing."""
    return built_book / "html"
