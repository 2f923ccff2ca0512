"""Take a picture of every page of a built book: light, dark, and as wide as a phone.

Usage: python tests/screenshots.py report/html screenshots
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


def find_chromium() -> str | None:
    """Return the path of the system's Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def book_pages(html: Path) -> list[Path]:
    """Return the pages that a reader meets: the landing page first, then the others by name."""
    left_out = {"genindex.html", "search.html", "index.html"}
    found = [*html.glob("*.html"), *html.glob("notebooks/*.html")]
    return [html / "index.html", *sorted(page for page in found if page.name not in left_out)]


def take_screenshots(html: Path, folder: Path) -> list[Path]:
    """Write one full-page picture of every page in every look."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for look, options in LOOKS.items():
            page = browser.new_context(**options).new_page()
            for path in book_pages(html):
                page.goto(path.resolve().as_uri())
                written.append(folder / f"{path.stem}-{look}.png")
                page.screenshot(path=written[-1], full_page=True)
        browser.close()
    return written


if __name__ == "__main__":
    for picture in take_screenshots(Path(sys.argv[1]), Path(sys.argv[2])):
        print(picture)
