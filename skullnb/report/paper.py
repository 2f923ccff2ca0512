"""The book on paper: a PDF printed by a browser that is on the machine anyway."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from skullnb.errors import InvalidSetting, ReportFailed

_NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "msedge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_SECONDS = 300
_LONGEST = 60  # characters; what Chromium makes of them has to stay under 108


def find_browser() -> Path | None:
    """Find Chromium, or a browser made of it.

    The one that the environment variable CHROME names, one of the usual names on the search path,
    or the one that came with playwright.
    """
    for name in filter(None, (os.environ.get("CHROME"), *_NAMES)):
        if found := shutil.which(name):
            return Path(found)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.is_file() else None


def require_browser() -> Path:
    """Find a browser that prints.

    Raises
    ------
    InvalidSetting
        If there is none.
    """
    named = os.environ.get("CHROME")
    if named and not shutil.which(named):
        raise InvalidSetting(
            f"The environment variable CHROME names {named!r}, which is no program here; correct it"
            " or take it away."
        )
    browser = find_browser()
    if browser is None:
        raise InvalidSetting(
            "A PDF is printed by Chromium or Chrome, and none was found; install one, or name it"
            " in the environment variable CHROME."
        )
    return browser


def print_pdf(page: Path, file: Path, browser: Path) -> None:
    """Print an HTML file, with an outline of its headings.

    Raises
    ------
    ReportFailed
        If the browser leaves no PDF.
    """
    command = [str(browser), "--headless", "--disable-gpu", "--no-pdf-header-footer"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to start as root with one
    command += ["--generate-pdf-document-outline", f"--print-to-pdf={file}"]
    with TemporaryDirectory(prefix="skullnb-", ignore_cleanup_errors=True) as profile:
        # Its socket stays there when it is ended; a socket's path can't be long.
        own = {"TMPDIR": profile} if len(profile) < _LONGEST else {}
        try:
            done = subprocess.run(
                [*command, f"--user-data-dir={profile}", page.as_uri()],
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
            said = done.stderr.strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            said = [f"it took more than {_SECONDS} seconds"]
    if not file.is_file() or not file.read_bytes()[:5] == b"%PDF-":
        raise ReportFailed(f"{browser.name} could not print the PDF: {' '.join(said) or 'no word'}")
