"""Dark growth in a real browser: the page's masks against Python's, bit for bit."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_border import blobs

from skullnb import heads
from skullnb.pipeline import normalise, trace_skull_mask
from skullnb.pipeline.border import grow_through_dark

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASSETS = Path(__file__).resolve().parents[1] / "book" / "assets"

GROW = """(cases) => cases.map(({ brain, levels, height, width, threshold, spacing, words }) => {
    const [mask, normalised] = [brain, levels].map((text) => {
        const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        return { pixels, height, width };
    });
    const grown = skullnb.growThroughDark(mask, normalised, threshold, spacing, ...words);
    return btoa(grown.pixels.reduce((text, pixel) => text + String.fromCharCode(pixel), ""));
})"""


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    page.add_script_tag(path=ASSETS / "pipeline.js")
    yield page
    page.close()


def text_of(pixels: np.ndarray) -> str:
    return b64encode(pixels.astype(np.uint8).tobytes()).decode("ascii")


def compare(page: Page, cases: list[tuple[Any, ...]]) -> None:
    """Hold masks of (brain, normalised, threshold, spacing, words) against each other."""
    sent = [
        {
            "brain": text_of(brain),
            "levels": text_of(levels),
            "height": levels.shape[0],
            "width": levels.shape[1],
            "threshold": threshold,
            "spacing": spacing,
            "words": words,
        }
        for brain, levels, threshold, spacing, words in cases
    ]
    expected = [text_of(grow_through_dark(*one[:4], *one[4])) for one in cases]
    assert page.evaluate(GROW, sent) == expected
    assert len(set(expected)) > len(cases) / 2


def test_noise_has_pythons_border_at_any_spacing_and_distance(page: Page) -> None:
    rng, cases = np.random.default_rng(1), []
    for _ in range(300):
        shape = tuple(rng.integers(1, 60, 2).tolist())
        levels = rng.integers(0, 256, shape) // int(rng.integers(1, 4))
        levels[blobs(rng, shape)] = rng.integers(0, 256)
        brain = (levels > 200) & blobs(rng, shape) if rng.random() < 0.5 else blobs(rng, shape)
        spacing = rng.choice([rng.uniform(0.3, 4), 0.7, 1.0, 3.0], 2).tolist()
        words = [float(rng.uniform(0, most)) for most in (20, 1.3, 5, 10)]
        levels = levels.astype(np.uint8)
        cases.append((brain.astype(np.uint8), levels, int(rng.integers(256)), spacing, words))
    compare(page, cases)


def test_a_real_head_has_pythons_border(page: Page) -> None:
    head, cases = heads.load("studyforrest"), []
    for image in head.images[::5]:
        trace = trace_skull_mask(image)
        for reach_mm in (8.5, 14.0, 20.0):
            levels = normalise(image)
            cases.append((trace.brain, levels, trace.threshold, head.spacing_mm, [reach_mm]))
    compare(page, cases)
