"""Every page of the built book in a real browser, for everyone: from disk, aloud, on a phone.

axe-core (MPL-2.0) comes with axe-playwright-python; it is a tool of these tests and never shipped.
"""

from importlib.resources import files
from typing import Any

import pytest
from screenshots import LOOKS, book_pages, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]


# Contrast depends on the colours of text and ground, on size and weight: axe-core looks at one text
# of every kind on a page. Of drawings and of other words of code the elements go: they take time.
CHECK = """async (only) => {
    const grounds = new Map(), met = new Set();
    for (const one of document.querySelectorAll("body, body *")) {
        const style = getComputedStyle(one);
        const own = [style.backgroundColor, style.backgroundImage, style.opacity].join();
        const below = grounds.get(one.parentElement) ?? "";
        grounds.set(one, own === "rgba(0, 0, 0, 0),none,1" ? below : below + own);
        const says = (part) => part.nodeType === 3 && part.data.trim();
        if (!("value" in one) && ![...one.childNodes].some(says)) continue;
        if (!one.checkVisibility({ visibilityProperty: true })) continue;
        const kind = [grounds.get(one), style.color, style.fontSize, style.fontWeight].join();
        if (!met.has(kind)) one.toggleAttribute("data-looked-at", true);
        met.add(kind);
    }
    for (const one of document.querySelectorAll("pre span, svg :is(path, use, defs):not(a *)"))
        if (!one.hasAttribute("data-looked-at")) one.replaceWith(...one.childNodes);
    axe.configure({ rules: [{ id: "color-contrast", selector: "[data-looked-at]" }] });
    const rules = { region: { enabled: false } };  // which is never serious
    const options = { preload: false, resultTypes: ["violations"], rules };
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


def check_every_page(chromium, html, look: str) -> None:
    """Open every page: it is quiet, whole, fits the window and has no serious barrier."""
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


# The other colour and width are in `test_pages.py`: no fault was ever one of a colour at a width.
def test_every_page_is_quiet_whole_fits_the_window_and_has_no_serious_barrier(chromium, html):
    check_every_page(chromium, html, "light")
