"""The generated parts of the landing page: what the data is, and what its masks look like.

Texts from outside, such as file names, are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.chapter import MOST_SHOWN
from skullnb.pipeline import PipelineSettings, create_skull_masks
from skullnb.stack import Stack
from skullnb.text import escape

__all__ = ["data_note", "draw_slices", "evidence_line", "note"]


def note(kind: str, title: str, text: str) -> str:
    """Write an admonition.

    Parameters
    ----------
    kind : {"note", "error"}
    title, text : str
        Markdown; escape what comes from outside.

    Returns
    -------
    str

    Examples
    --------
    >>> print(note("note", "Your data", "5 slices."))
    :::{admonition} Your data
    :class: note
    <BLANKLINE>
    5 slices.
    :::
    <BLANKLINE>
    """
    return f":::{{admonition}} {title}\n:class: {kind}\n\n{text}\n:::\n"


def data_note(stack: Stack, results: Mapping[str, Any], is_phantom: bool) -> str:
    """Say what the pages are about: the synthetic phantom or the reader's own data.

    Parameters
    ----------
    stack : Stack
    results : mapping
        Collated results; their parameters hold the files' names.
    is_phantom : bool

    Returns
    -------
    str
        Markdown.
    """
    n, height, width = stack.images.shape
    size = f"{n} slice{'s' * (n != 1)} of {height} × {width} px"
    if is_phantom:
        return note(
            "note",
            "Synthetic data",
            f"These pages show {size} of a phantom head, *calibrated to* the figures that the"
            " article reports, because the article’s own slices are not public. The measured"
            " numbers agree with the published ones by construction: no evidence that the method"
            " works on patients.",
        )
    given = results["parameters"]
    facts = [f"**{escape(str(given.get('images', stack.name)))}**: {size}"]
    if stack.spacing_mm:
        facts.append(f"{stack.spacing_mm[0]:g} × {stack.spacing_mm[1]:g} mm a pixel")
    if stack.groups:
        n_groups = len(set(stack.groups))
        facts.append(f"{n_groups} group{'s' * (n_groups != 1)}")
    if stack.reference is None:
        verdict = (
            "No reference mask was given, so nothing here says how good the masks are; the"
            " chapters show what the method did."
        )
    else:
        name = escape(str(given.get("reference", "")))
        verdict = f"The masks are compared with the reference mask **{name}**."
    return note("note", "Your data", f"{', '.join(facts)}. {verdict}")


def evidence_line(chapters: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in one line which rules of the method the data put to the test.

    Parameters
    ----------
    chapters : mapping
        Recorded values by chapter, as in the collated results.

    Returns
    -------
    str
        Markdown; "" when the chapter on evidence has no verdict.

    Examples
    --------
    >>> print(evidence_line({"09-evidence": {"verdict": "3 of 6 rules exercised."}}))
    **What these slices tested:** 3 of 6 rules exercised. How this is known is in
    [the evidence ledger](notebooks/09-evidence.ipynb).
    """
    verdict = chapters.get("09-evidence", {}).get("verdict")
    if not verdict:
        return ""
    return (
        f"**What these slices tested:** {escape(verdict)} How this is known is in"
        " [the evidence ledger](notebooks/09-evidence.ipynb).\n"
    )


def draw_slices(stack: Stack, settings: PipelineSettings, folder: Path) -> str:
    """Draw a few slices with the outlines of their mask and reference mask.

    Parameters
    ----------
    stack : Stack
    settings : PipelineSettings
        Settings of the masks.
    folder : Path
        Gets one picture a slice.

    Returns
    -------
    str
        Markdown that shows the pictures, with a caption.
    """
    from skullnb.figures.style import new_figure, outline, show_image

    shown = _shown_slices(len(stack))
    images = np.asarray(stack.images[list(shown)])
    masks = create_skull_masks(images, settings)
    references = None if stack.reference is None else stack.reference[list(shown)]
    rows, columns = _around_the_head(masks if references is None else masks | references)
    lines = f"the measured skull mask (blue, kernel width {settings.kernel_width} px)"
    if references is not None:
        lines += " and the reference mask (orange)"
    pictures = []
    numbers = [stack.slice_numbers[index] for index in shown]
    for index, number in enumerate(numbers):
        image = images[index, rows, columns].astype(np.float64)
        figure, axes = new_figure(2.0)
        figure.set_size_inches(2.0 * image.shape[1] / image.shape[0], 2.0)
        # A few bright pixels of fat own the top of the range; without them the brain is visible.
        show_image(axes, image, vmax=np.percentile(image, 99) or None)
        if references is not None:
            outline(axes, references[index, rows, columns], "reference", linewidths=4)
        outline(axes, masks[index, rows, columns], "mask", linewidths=1.8)
        (folder / f"slice-{index}.png").write_bytes(figure.png())
        alt = f"Slice {number} with the outline of {lines}."
        pictures.append(f"![{alt}](_generated/slice-{index}.png)")
    listed = ", ".join(str(number) for number in numbers)
    some = f"{len(shown)} of the {len(stack)} slices" if len(shown) < len(stack) else "Each slice"
    caption = f"{some}, with the outline of {lines}. Numbers: {listed}."
    return ":::{div} slices\n" + "\n".join(pictures) + f"\n\n{caption}\n:::\n"


def _shown_slices(n_slices: int) -> list[int]:
    return [int(one) for one in np.unique(np.linspace(0, n_slices - 1, MOST_SHOWN).round())]


def _around_the_head(masks: np.ndarray[Any, Any]) -> tuple[slice, slice]:
    """Return the rows and columns that hold all masks and an eighth of their size around."""
    found = []
    for other_axis in (2, 1):
        used = np.flatnonzero(masks.any(axis=(0, other_axis)))
        if not used.size:
            return slice(None), slice(None)
        margin = (used[-1] - used[0]) // 8
        found.append(slice(max(0, used[0] - margin), used[-1] + margin + 1))
    return found[0], found[1]
