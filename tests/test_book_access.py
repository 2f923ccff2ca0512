"""The built book for everyone: read aloud, by keyboard, on a phone, over a thin line, in a link.

axe-core (MPL-2.0) comes with axe-playwright-python; it is a tool of this test and never shipped.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from screenshots import LOOKS, book_pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST_BYTES_OF_THE_BOOK = 25e6
MOST_BYTES_OF_A_PAGE = 2e6

# Colours are all that differs in the dark, and they are the same on a phone as on a wide page.
RULES: dict[str, Any] = {
    "light": {},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast"]}},
    "phone": {"rules": {"color-contrast": {"enabled": False}}},
}
CHECK = """async (rules) => {
    const options = { resultTypes: ["violations"], ...rules };
    const { violations } = await axe.run(document, options);
    return violations
        .filter((one) => ["serious", "critical"].includes(one.impact))
        .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 120)}`));
}"""


def barriers(page: Page, look: str) -> list[str]:
    """What axe-core calls serious or critical on an open page."""
    # A colour on its way from light to dark has the contrast of neither.
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    return list(page.evaluate(CHECK, RULES[look]))


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_no_page_has_a_serious_barrier(chromium: Browser, built_book: Path, look: str) -> None:
    context = chromium.new_context(**LOOKS[look])
    page = context.new_page()
    found = {}
    for path in book_pages(built_book / "html"):
        page.goto(path.as_uri())
        found[path.name] = barriers(page, look)
    context.close()
    assert {name: one for name, one in found.items() if one} == {}


def test_a_barrier_would_be_found(chromium: Browser, tmp_path: Path) -> None:
    text = '<html lang="en"><title>x</title><img src="data:,"><p style="color:#ccc">pale</p>'
    (tmp_path / "bad.html").write_text(text, encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "bad.html").as_uri())
    found = " ".join(barriers(page, "light"))
    page.close()
    assert "image-alt" in found
    assert "color-contrast" in found


def test_the_book_and_its_pages_are_light(built_book: Path) -> None:
    html = built_book / "html"
    weights = {}
    for path in book_pages(html):
        text = path.read_text(encoding="utf-8")
        sources = [tag["src"] for tag in BeautifulSoup(text, "html.parser").select("img[src]")]
        shown = {unquote(one) for one in sources if not urlsplit(one).scheme}
        pictures = sum((path.parent / one).stat().st_size for one in shown)
        weights[path.name] = len(text.encode()) + pictures
    assert {name: size for name, size in weights.items() if size > MOST_BYTES_OF_A_PAGE} == {}
    whole = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    assert whole < MOST_BYTES_OF_THE_BOOK


def test_a_link_to_a_page_shows_its_title_and_the_cover(built_book: Path) -> None:
    for path in book_pages(built_book / "html"):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        tags = soup.select("meta[content]")
        meta = {tag.get("property") or tag.get("name", ""): tag["content"] for tag in tags}
        assert soup.h1.contents[0] == meta["og:title"]
        assert meta["description"] == meta["og:description"]
        cover = path.parent / meta["og:image"]
        assert cover.read_bytes()[16:24] == (1200).to_bytes(4) + (630).to_bytes(4)
