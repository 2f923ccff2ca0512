"""The generated parts of the landing page: what the data is, and what its masks look like.

Texts from outside, such as file names, are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.chapter import MOST_SHOWN
from skullnb.pipeline import PipelineSettings, create_skull_masks, trace_skull_mask
from skullnb.stack import Stack
from skullnb.summary import spread
from skullnb.text import escape


def note(kind: str, title: str, text: str) -> str:
    """Write an admonition.

    `title`, `text`: Markdown; escape what comes from outside.

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

    `results`: collated results; their parameters hold the files' names.
    """
    n, height, width = stack.images.shape
    size = f"{n} slice{'s' * (n != 1)} of {height} × {width} px"
    if is_phantom:
        return note(
            "note",
            "Synthetic data",
            f"These pages show {size} of a phantom head, *calibrated to* the figures that the"
            " article reports, because the article’s own slices are not public. Where the"
            " measured numbers agree with the published ones, they do so by construction: no"
            " evidence that the method works on patients.",
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
        name = given.get("reference")  # none where the file of the images holds the masks too
        which = f"mask **{escape(str(name))}**" if name else "masks in the same file"
        verdict = f"The masks are compared with the reference {which}."
    return note("note", "Your data", f"{', '.join(facts)}. {verdict}")


def evidence_line(chapters: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in one line which rules of the method the data put to the test.

    Markdown; "" when the chapter on evidence has no verdict. `chapters`: recorded values by
    chapter, as in the collated results.

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


def remarks_line(chapters: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in one line how many slices have a remark, and where to read it.

    Markdown; "" when there is none, or nothing is known. `chapters`: recorded values by chapter,
    as in the collated results.

    Examples
    --------
    >>> print(remarks_line({"15-your-data": {"n_warnings": 2, "n_slices": 23}}))
    **Remarks:** 2 of 23 slices were warned about or differ from their neighbours; a slice without
    a remark may be wrong too. They are in [your data](notebooks/15-your-data.ipynb).
    """
    counts = chapters.get("15-your-data", {})
    if not counts.get("n_warnings"):
        return ""
    return (
        f"**Remarks:** {counts['n_warnings']} of {counts['n_slices']} slices were warned about or"
        " differ from their neighbours; a slice without a remark may be wrong too. They are in"
        " [your data](notebooks/15-your-data.ipynb).\n"
    )


def comparison_card(is_phantom: bool) -> str:
    """Write the card that leads to the comparison with the article, where there is one.

    Examples
    --------
    >>> comparison_card(is_phantom=False)
    ''
    """
    if not is_phantom:
        return ""
    return (
        ":::{grid-item-card} To check the article\n"
        "The table above sums up the comparison;"
        " [the kernel-width sweep](notebooks/05-dilation.ipynb) and"
        " [the metrics](notebooks/07-metrics.ipynb) show how each number is made.\n:::\n"
    )


def draw_cover(stack: Stack, settings: PipelineSettings, folder: Path) -> str:
    """Draw the middle slice with a step of the pipeline on each piece of it.

    Markdown that shows the picture, with a caption. `folder`: gets `cover.png`.
    """
    from skullnb.figures.cover import cover

    middle = len(stack) // 2
    reference = None if stack.reference is None else np.asarray(stack.reference[middle])
    image = np.asarray(stack.images[middle])
    picture = cover(image, trace_skull_mask(image, settings), reference)
    (folder / "cover.png").write_bytes(picture.png())
    number = stack.slice_numbers[middle]
    last = "the outline of the mask" + " and of the reference mask" * (reference is not None)
    caption = (
        f"Slice {number}, a step on each piece: grey levels, bright pixels (white), the chosen"
        f" component (green), what the dilation adds (blue), the filled mask, and {last}."
    )
    return f":::{{div}} cover\n![{caption}](_generated/cover.png)\n\n{caption}\n:::\n"


def draw_slices(stack: Stack, settings: PipelineSettings, folder: Path) -> str:
    """Draw a few slices with the outlines of their mask and reference mask.

    Markdown that shows the pictures, with a caption. `settings`: settings of the masks. `folder`:
    gets one picture a slice.
    """
    from skullnb.figures.layout import mask_box
    from skullnb.figures.style import new_figure, outline, show_image

    shown = spread(len(stack), MOST_SHOWN)
    images = np.asarray(stack.images[shown])
    masks = create_skull_masks(images, settings)
    references = None if stack.reference is None else stack.reference[shown]
    everything = masks if references is None else [*masks, *references]
    rows, columns = mask_box(np.max(everything, axis=0))
    width = settings.kernel_width
    how = f"kernel width {width} px" if width else "no dilation"
    lines = f"the measured skull mask (blue, {how})"
    if references is not None:
        lines += " and the reference mask (orange)"
    pictures = []
    numbers = [stack.slice_numbers[index] for index in shown]
    for index, number in enumerate(numbers):
        image = images[index, rows, columns].astype(np.float64)
        figure, axes = new_figure(2.0)
        figure.set_size_inches(2.0 * image.shape[1] / image.shape[0], 2.2)
        # A few bright pixels of fat own the top of the range; without them the brain is visible.
        title = f"slice {number}"
        show_image(axes, image, title, vmax=np.percentile(image, 99) or None)
        if references is not None:
            outline(axes, references[index, rows, columns], "reference", linewidths=5)
        outline(axes, masks[index, rows, columns], "mask", linewidths=2.2)
        (folder / f"slice-{index}.png").write_bytes(figure.png())
        alt = f"Slice {number} with the outline of {lines}."
        pictures.append(f"![{alt}](_generated/slice-{index}.png)")
    some = f"{len(shown)} of the {len(stack)} slices" if len(shown) < len(stack) else "Each slice"
    caption = f"{some}, with the outline of {lines}."
    return ":::{div} slices\n" + "\n".join(pictures) + f"\n\n{caption}\n:::\n"
