"""The built book in a real browser, for everyone: from disk, aloud, by keyboard, on a phone.

axe-core (MPL-2.0) comes with axe-playwright-python; it is a tool of these tests and never shipped.
"""

import re
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
import pytest
from bs4 import BeautifulSoup
from screenshots import LOOKS, book_pages, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST_BYTES_OF_THE_BOOK = 25e6
MOST_BYTES_OF_A_PAGE = 2e6

# Contrast depends on the colours of text and ground, on size and weight: axe-core looks at one text
# of every kind on a page. Other words of code and lines of drawings go; all rules see all the rest.
CHECK = """async (only) => {
    const grounds = new Map(), met = new Set();
    for (const one of document.querySelectorAll("body, body *")) {
        const style = getComputedStyle(one);
        const own = [style.backgroundColor, style.backgroundImage, style.opacity].join();
        const below = grounds.get(one.parentElement) ?? "";
        grounds.set(one, own === "rgba(0, 0, 0, 0),none,1" ? below : below + own);
        const says = Array.from(one.childNodes).some((part) => part.data?.trim()) || "value" in one;
        if (!says || !one.checkVisibility({ visibilityProperty: true })) continue;
        const kind = [grounds.get(one), style.color, style.fontSize, style.fontWeight].join();
        if (!met.has(kind)) one.toggleAttribute("data-looked-at", true);
        met.add(kind);
    }
    for (const one of document.querySelectorAll("pre span, svg :is(path, use, defs):not(a *)"))
        if (!one.hasAttribute("data-looked-at") && !one.firstElementChild) one.remove();
    axe.configure({ rules: [{ id: "color-contrast", selector: "[data-looked-at]" }] });
    const options = { preload: false, resultTypes: ["violations"] };
    if (only.length) options.runOnly = { type: "rule", values: only };
    const { violations } = await axe.run(document, options);
    return violations
        .filter((one) => ["serious", "critical"].includes(one.impact))
        .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 120)}`));
}"""

STATE = """() => ({
    theme: document.documentElement.dataset.theme,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    noAlt: Array.from(document.images)
        .filter((one) => !one.alt.trim() || /[.](png|svg|webp)$/.test(one.alt))
        .map((one) => one.src.slice(0, 80)),
    broken: Array.from(document.images).filter((one) => one.complete && !one.naturalWidth)
        .map((one) => one.src.slice(0, 80)),
    dead: Array.from(document.querySelectorAll("a[href^='#']"))
        .map((one) => decodeURIComponent(one.getAttribute("href").slice(1)))
        .filter((id) => !document.getElementById(id)),
    outward: Array.from(document.querySelectorAll("a[href]"))
        .map((one) => one.getAttribute("href")).filter((one) => !/^(#|https?:|mailto:)/.test(one)),
    twice: Object.entries(Object.groupBy(document.querySelectorAll("[id]"), (one) => one.id))
        .filter(([, all]) => all.length > 1).map(([id]) => id),
})"""

QUIET = {"overflow": 0, "noAlt": [], "broken": []}

# What a slow page still fetches, its icon for one, when the next page is opened.
LEFT = "net::ERR_ABORTED"


def barriers(page, only=()) -> list[str]:
    """What axe-core calls serious or critical on an open page, by some of its rules or all."""
    # A colour on its way from light to dark has the contrast of neither.
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    return list(page.evaluate(CHECK, list(only)))


@pytest.fixture
def page(chromium):
    page = chromium.new_page()
    yield page
    page.close()


# Both colours and both widths: no fault was ever one of a colour at a width.
@pytest.mark.parametrize("look", ["light", "phone-dark"])
def test_every_page_is_quiet_whole_fits_the_window_and_has_no_serious_barrier(chromium, html, look):
    asked: list[str] = []
    failed: list[str] = []
    found: dict[str, Any] = {}
    with opened(chromium, html / "index.html", asked, **LOOKS[look]) as page:
        page.on("requestfailed", lambda one: one.failure != LEFT and failed.append(one.url))
        for path in book_pages(html):
            page.goto(path.as_uri())
            # The other look has other colours, and of the frame around all pages another menu.
            again = look != "light" and path.name != "index.html"
            barred = barriers(page, ["color-contrast", "scrollable-region-focusable"] * again)
            state = page.evaluate(STATE)
            found[path.name] = {name: state[name] for name in QUIET} | {"barriers": barred}
            assert state["theme"] == LOOKS[look]["color_scheme"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert failed == []
    quiet = {**QUIET, "barriers": []}
    assert {name: one for name, one in found.items() if one != quiet} == {}


def test_every_page_is_light_and_a_link_to_it_shows_its_title_and_the_cover(html):
    for path in book_pages(html):
        text = path.read_text(encoding="utf-8")
        soup = BeautifulSoup(text, "html.parser")
        shown = {unquote(tag["src"]) for tag in soup.select("img[src]")}
        pictures = [(path.parent / one).stat().st_size for one in shown if not urlsplit(one).scheme]
        assert len(text.encode()) + sum(pictures) < MOST_BYTES_OF_A_PAGE, path.name
        tags = soup.select("meta[content]")
        meta = {tag.get("property") or tag.get("name", ""): tag["content"] for tag in tags}
        assert soup.h1.contents[0] == meta["og:title"]
        assert meta["description"] == meta["og:description"]
        assert (path.parent / meta["og:image"]).is_file()
    whole = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    assert whole < MOST_BYTES_OF_THE_BOOK


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
