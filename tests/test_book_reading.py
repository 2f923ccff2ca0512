"""What a reader does with the built book: opens, moves and shares pages, keeps it in one file."""

import re
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
import pytest
from bs4 import BeautifulSoup
from screenshots import LOOKS, book_pages, opened
from test_book_browser import QUIET, STATE, barriers

from skullnb.report.build import find_assets
from skullnb.report.pages import single_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def page(chromium):
    page = chromium.new_page()
    yield page
    page.close()


def test_every_page_is_light_and_a_link_to_it_shows_its_title_and_the_cover(html):
    for path in book_pages(html):
        text = path.read_text(encoding="utf-8")
        soup = BeautifulSoup(text, "html.parser")
        shown = {unquote(tag["src"]) for tag in soup.select("img[src]")}
        pictures = [(path.parent / one).stat().st_size for one in shown if not urlsplit(one).scheme]
        assert len(text.encode()) + sum(pictures) < 2e6, path.name
        tags = soup.select("meta[content]")
        meta = {tag.get("property") or tag.get("name", ""): tag["content"] for tag in tags}
        assert soup.h1.contents[0] == meta["og:title"]
        assert meta["description"] == meta["og:description"]
        assert (path.parent / meta["og:image"]).is_file()
    assert sum(path.stat().st_size for path in html.rglob("*") if path.is_file()) < 25e6


def test_formulas_are_drawn_in_the_colour_of_the_text_and_say_what_they_are(page, html):
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto((html / "notebooks" / "07-metrics.html").as_uri())
        drawn = page.locator(".formula svg")
        assert drawn.count() > 0
        for formula in drawn.all():
            box = formula.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) > 3
            assert formula.get_attribute("aria-label")
        path = page.locator(".formula svg path").first
        colours.add(path.evaluate("one => getComputedStyle(one).fill"))
    assert len(colours) == 2


def test_a_reader_can_move_the_step_and_open_a_slice_of_the_sheet_in_its_live_figure(page, html):
    page.goto((html / "notebooks" / "05-dilation.html").as_uri())
    page.locator("figure.is-live").wait_for()
    mask = page.locator(".live-numbers dl div", has_text="Mask, px").locator("dd")
    before = mask.inner_text()
    page.get_by_role("slider", name="Kernel width").press("PageUp")
    mask.filter(has_not_text=before).wait_for()
    page.goto((html / "notebooks" / "15-your-data.html").as_uri())
    page.locator("figure.is-live").wait_for()
    page.get_by_role("link", name="slice 3", exact=True).press("Enter")
    page.wait_for_function("document.querySelector('figure.live').live.key === 'slice-3'")
    assert page.get_by_label("Slice", exact=True).input_value() == "slice-3"


def test_a_reader_can_try_an_image_of_their_own_on_a_page_that_may_connect_to_nothing(page, html):
    page.goto((html / "book" / "try-it.html").as_uri())
    page.locator("figure.is-live").wait_for()
    page.get_by_label("Kernel width").press("ArrowLeft")
    _, picture = cv2.imencode(".png", np.pad(np.full((20, 20), 200, np.uint8), 15))
    file = {"name": "own.png", "mimeType": "image/png", "buffer": picture.tobytes()}
    page.set_input_files("figure.live input[type=file]", files=[file])
    brain = page.locator(".live-numbers dl div", has_text="Brain, px").locator("dd")
    brain.filter(has_text=re.compile("^400$")).wait_for()
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


@pytest.fixture(scope="module")
def written(html, tmp_path_factory):
    page = tmp_path_factory.mktemp("file") / "book.html"
    page.write_text(single_file(html, find_assets("book")), encoding="utf-8")
    return page


def test_the_book_in_one_file_is_whole_and_quiet_and_fits_the_window(chromium, written):
    asked: list[str] = []
    whole = {**QUIET, "dead": [], "outward": [], "twice": []}
    with opened(chromium, written, asked, **LOOKS["light"]) as page:
        assert page.evaluate(STATE) == {"theme": "light", **whole}
        page.set_viewport_size(LOOKS["phone-dark"]["viewport"])
        page.emulate_media(color_scheme="dark")
        page.wait_for_selector("html[data-theme=dark]", state="attached")
        assert page.evaluate(STATE) == {"theme": "dark", **whole}
        # Its articles are those of the pages; only what the file itself adds is checked again.
        page.add_style_tag(content="article { display: none }")
        assert barriers(page) == []
    assert {url for url in asked if not url.startswith("data:")} == {written.as_uri()}


def test_it_holds_every_page_is_small_and_leads_to_chapters_by_keyboard(chromium, written, html):
    text = written.read_text(encoding="utf-8")
    assert len(text.encode()) < 11e6
    pages = [page.read_text(encoding="utf-8") for page in book_pages(html)]
    titles = [re.findall("<h1>(.*?)<", page)[0] for page in pages]
    assert sorted(re.findall("<h1>(.*?)<", text)) == sorted(titles)
    with opened(chromium, written) as page:
        page.locator("header summary").press("Enter")
        page.locator("header a", has_text="How far is it").press("Enter")
        heading = page.locator("h1", has_text="How far is it")
        assert heading.evaluate("one => one.getBoundingClientRect().top") < 300
        assert not page.locator("header li").first.is_visible()
        # Its policy lets nobody evaluate text, so nothing is waited for in the page.
        page.wait_for_selector("figure.live:not(.is-live)", state="detached")
        assert page.locator("figure.is-live").count() > 3
