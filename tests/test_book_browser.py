"""The built book in a real browser: opened from disk, with and without script, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from screenshots import LOOKS, book_pages, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOISE = """() => {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const images = Array.from(document.querySelectorAll("img"));
    return {
        overflow: wide,
        noAlt: images.filter((image) => !image.alt.trim() || /[.](png|svg|webp)$/.test(image.alt))
            .map((image) => image.src.slice(0, 80)),
        broken: images.filter((image) => image.complete && !image.naturalWidth)
            .map((image) => image.src.slice(0, 80)),
    };
}"""


# What a slow page still fetches, its icon for one, when the next page is opened.
LEFT = "net::ERR_ABORTED"


@pytest.fixture(scope="module")
def html(chromium: Browser, built_book: Path) -> Path:
    """Ask for the browser first: without one, no book is built for nothing."""
    return built_book / "html"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_quiet_whole_and_fits_the_window(
    chromium: Browser, html: Path, look: str
) -> None:
    asked: list[str] = []
    failed: list[str] = []
    found: dict[str, Any] = {}
    with opened(chromium, html / "index.html", asked, **LOOKS[look]) as page:
        page.on("requestfailed", lambda one: one.failure != LEFT and failed.append(one.url))
        for path in book_pages(html):
            page.goto(path.as_uri())
            page.wait_for_load_state("networkidle")
            found[path.name] = page.evaluate(NOISE)
        theme = page.evaluate("document.documentElement.dataset.theme")
    assert theme == LOOKS[look]["color_scheme"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert failed == []
    assert found == {name: {"overflow": 0, "noAlt": [], "broken": []} for name in found}


def test_the_landing_page_shows_the_method_and_three_numbers_and_leads_to_every_chapter(
    page: Page, html: Path
) -> None:
    page.goto((html / "index.html").as_uri())
    page.locator("figure.is-live").wait_for()
    links = page.locator("nav.bd-links a").evaluate_all("all => all.map((a) => a.href)")
    chapters = {path.as_uri() for path in (html / "notebooks").glob("*.html")}
    assert chapters
    assert chapters <= {link.split("#")[0] for link in links}
    numbers = page.locator("table").first.locator("tbody td:first-child").all_inner_texts()
    assert len(numbers) == 3
    assert all(number[0].isdigit() for number in numbers)


def test_formulas_are_drawn_in_the_colour_of_the_text_and_say_what_they_are(
    page: Page, html: Path
) -> None:
    page.goto((html / "notebooks" / "07-metrics.html").as_uri())
    drawn = page.locator(".formula svg")
    assert drawn.count() > 0
    for formula in drawn.all():
        box = formula.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 3
        assert formula.get_attribute("aria-label")
    assert "$" not in page.locator("article.bd-article p").all_inner_texts()
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.reload()
        path = page.locator(".formula svg path").first
        colours.add(path.evaluate("one => getComputedStyle(one).fill"))
    assert len(colours) == 2


def test_a_reader_can_move_the_step_that_a_chapter_is_about(page: Page, html: Path) -> None:
    from playwright.sync_api import expect

    for chapter, control in (("03-threshold", "Threshold"), ("05-dilation", "Kernel width")):
        page.goto((html / "notebooks" / f"{chapter}.html").as_uri())
        page.locator("figure.is-live").wait_for()
        mask = page.locator(".live-numbers dl div", has_text="Mask, px").locator("dd")
        before = mask.inner_text()
        # One level more may change no pixel.
        page.get_by_role("slider", name=control).press("PageUp")
        expect(mask).not_to_have_text(before)


def test_a_slice_on_the_sheet_of_all_leads_to_its_live_figure(page: Page, html: Path) -> None:
    from playwright.sync_api import expect

    page.goto((html / "notebooks" / "15-your-data.html").as_uri())
    page.locator("figure.is-live").wait_for()
    page.get_by_role("link", name="slice 3", exact=True).press("Enter")
    expect(page.get_by_label("Slice", exact=True)).to_have_value("studyforrest-3")


def test_a_reader_can_try_an_image_of_their_own_on_a_page_that_may_connect_to_nothing(
    page: Page, html: Path
) -> None:
    from playwright.sync_api import expect

    page.goto((html / "book" / "try-it.html").as_uri())
    page.locator("figure.is-live").wait_for()
    page.get_by_label("Kernel width").press("ArrowLeft")
    _, picture = cv2.imencode(".png", np.pad(np.full((20, 20), 200, np.uint8), 15))
    file = {"name": "own.png", "mimeType": "image/png", "buffer": picture.tobytes()}
    page.set_input_files("figure.live input[type=file]", files=[file])
    brain = page.locator(".live-numbers dl div", has_text="Brain, px").locator("dd")
    expect(brain).to_have_text("400")
    refused = page.evaluate(
        """async () => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", (one) => {
                refused.push(one.effectiveDirective);
            });
            const away = "http://127.0.0.1:9/";
            await fetch(away).catch(() => {});
            navigator.sendBeacon(away, "levels");
            new Image().src = away + "?levels";
            const script = document.createElement("script");
            script.src = away;
            document.head.append(script);
            try { new WebSocket("ws://127.0.0.1:9/"); } catch { refused.push("socket"); }
            const end = performance.now() + 20000;
            while (refused.length < 5 && performance.now() < end) {
                await new Promise((next) => setTimeout(next, 50));
            }
            return refused.sort();
        }"""
    )
    assert refused.count("connect-src") + refused.count("socket") == 3
    assert "img-src" in refused
    assert "script-src-elem" in refused
