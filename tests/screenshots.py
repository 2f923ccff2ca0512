"""Take a picture of every page of a built book: light, dark, and as wide as a phone.

Usage: python tests/screenshots.py [report/html [screenshots]]
"""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skullnb.report.pages import find_browser

LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


def book_pages(html: Path) -> list[Path]:
    """Return the pages that a reader meets: the landing page first, then the others by name."""
    left_out = {"genindex.html", "py-modindex.html", "search.html", "index.html"}
    found = [*html.glob("*.html"), *html.glob("notebooks/*.html"), *html.glob("book/*.html")]
    return [html / "index.html", *sorted(page for page in found if page.name not in left_out)]


@contextmanager
def opened(browser, path: Path, asked: list[str] | None = None, **look: Any):
    """Open a page that must complain of nothing; `asked` gets the addresses that it asks for."""
    context = browser.new_context(**look)
    page = context.new_page()
    complaints: list[str] = []
    page.on("request", lambda request: [] if asked is None else asked.append(request.url))
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.resolve().as_uri())
    yield page
    context.close()
    assert complaints == [], complaints[:3]


def take_screenshots(html: Path, folder: Path) -> None:
    """Write one full-page picture of every page in every look."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for look, options in LOOKS.items():
            page = browser.new_context(**options).new_page()
            for path in book_pages(html):
                page.goto(path.resolve().as_uri(), wait_until="networkidle")
                page.wait_for_selector("figure.live:not(.is-live)", state="detached")
                page.screenshot(path=folder / f"{path.stem}-{look}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    take_screenshots(Path(given.get(1, "report/html")), Path(given.get(2, "screenshots")))
