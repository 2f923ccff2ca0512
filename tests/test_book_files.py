"""The book as one file and on paper: what is written, and how it reads in a real browser."""

from __future__ import annotations

import re

import pytest
from screenshots import LOOKS, book_pages, opened
from test_book_browser import barriers

from skullnb.report.build import find_assets
from skullnb.report.pages import find_browser, print_pdf, single_file

MOST_BYTES = 10e6

STATE = """() => ({
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    broken: Array.from(document.images).filter((one) => !one.naturalWidth).length,
    images: document.images.length,
    dead: Array.from(document.querySelectorAll("a[href^='#']"))
        .map((one) => decodeURIComponent(one.getAttribute("href").slice(1)))
        .filter((id) => !document.getElementById(id)),
    outward: Array.from(document.querySelectorAll("a[href]"))
        .map((one) => one.getAttribute("href")).filter((one) => !/^(#|https?:|mailto:)/.test(one)),
    twice: Object.entries(Object.groupBy(document.querySelectorAll("[id]"), (one) => one.id))
        .filter(([, all]) => all.length > 1).map(([id]) => id),
})"""


@pytest.fixture(scope="module")
def files(chromium, built_book):
    """Write both once, in a folder of their own, from the book that all tests share."""
    browser = find_browser()
    assert browser is not None
    folder = built_book.parent / "files"
    folder.mkdir(exist_ok=True)
    (folder / "html").symlink_to(built_book / "html")
    page = folder / "book.html"
    page.write_text(single_file(folder / "html", find_assets("book")), encoding="utf-8")
    print_pdf(page, folder / "book.pdf", browser)
    return folder


@pytest.mark.browser
@pytest.mark.slow
class TestOneFile:
    @pytest.mark.parametrize("look", ["light", "dark", "phone"])
    def test_it_is_whole_and_quiet_and_fits_the_window(self, chromium, files, look):
        asked: list[str] = []
        with opened(chromium, files / "book.html", asked, **LOOKS[look]) as page:
            # Its articles are those of the pages; only what the file itself adds is checked again.
            assert look != "phone" or barriers(page, look) == []
            state = page.evaluate(STATE)
            theme = page.evaluate("document.documentElement.dataset.theme")
        assert theme == LOOKS[look]["color_scheme"]
        addresses = {url for url in asked if not url.startswith("data:")}
        assert addresses == {(files / "book.html").as_uri()}
        assert state.pop("images") >= 0
        assert state == {"wide": 0, "broken": 0, "dead": [], "outward": [], "twice": []}

    def test_it_holds_every_page_and_is_small(self, files, built_book):
        text = (files / "book.html").read_text(encoding="utf-8")
        assert len(text.encode()) < MOST_BYTES
        titles = [
            re.search("<h1>(.*?)<", page.read_text(encoding="utf-8"))[1]
            for page in book_pages(built_book / "html")
        ]
        assert sorted(re.findall("<h1>(.*?)<", text)) == sorted(titles)

    def test_its_contents_lead_to_a_chapter_by_keyboard(self, chromium, files):
        with opened(chromium, files / "book.html") as page:
            page.locator("header summary").press("Enter")
            page.locator("header a", has_text="How far is it").press("Enter")
            heading = page.locator("h1", has_text="How far is it")
            assert heading.evaluate("one => one.getBoundingClientRect().top") < 300
            assert not page.locator("header li").first.is_visible()

    def test_its_live_figures_find_their_slices_in_the_file(self, chromium, files):
        with opened(chromium, files / "book.html") as page:
            # The file's policy lets nobody evaluate text, so nothing is waited for in the page.
            page.wait_for_selector("figure.live:not(.is-live)", state="detached")
            assert page.locator("figure.is-live").count() > 3


@pytest.mark.browser
@pytest.mark.slow
def test_the_pdf_has_the_chapters_and_their_pictures(files):
    data = (files / "book.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", data)) > 30
    assert len(re.findall(rb"/Subtype\s*/Image\b", data)) > 20
    assert b"/Outlines" in data
