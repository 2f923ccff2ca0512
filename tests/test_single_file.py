"""The book in one file, in a real browser."""

import re

import pytest
from screenshots import LOOKS, book_pages, opened
from test_book_browser import QUIET, STATE, barriers

from skullnb.report.build import find_assets
from skullnb.report.pages import single_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def written(html, tmp_path_factory):
    page = tmp_path_factory.mktemp("file") / "book.html"
    page.write_text(single_file(html, find_assets("book")), encoding="utf-8")
    return page


@pytest.mark.parametrize("look", ["light", "phone-dark"])
def test_the_book_in_one_file_is_whole_and_quiet_and_fits_the_window(chromium, written, look):
    asked: list[str] = []
    with opened(chromium, written, asked, **LOOKS[look]) as page:
        state = page.evaluate(STATE)
        # Its articles are those of the pages; only what the file itself adds is checked again.
        page.add_style_tag(content="article { display: none }")
        assert look != "phone-dark" or barriers(page) == []
    assert {url for url in asked if not url.startswith("data:")} == {written.as_uri()}
    whole = {**QUIET, "dead": [], "outward": [], "twice": []}
    assert state == {"theme": LOOKS[look]["color_scheme"], **whole}


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
