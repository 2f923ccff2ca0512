"""Tables and sentences of the chapter on what a kernel width means."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from IPython.display import Markdown

from skullnb.errors import InvalidSetting
from skullnb.figures.tables import markdown_table, no_reference
from skullnb.head_model import Reading
from skullnb.implied import Chain
from skullnb.metrics import iou
from skullnb.pipeline import Mask, dilate, fill_holes, structuring_element
from skullnb.reach import (
    disc_difference,
    disc_element,
    kernel_reach,
    kernel_shift,
    kernel_width_for,
    mirror_asymmetry,
    reach_mm,
)

# Pixel sizes of slices as one meets them, in mm.
USUAL_SPACINGS = (0.25, 0.375, 0.5, 0.75, 1.0)


def readings_table(readings: Sequence[Reading], shape: tuple[int, int]) -> Markdown:
    """List what each reading of a sweep demands of the reference mask.

    Examples
    --------
    >>> reading = Reading("as a width", 22, 30, 34, 48000.0, 149000.0)
    >>> print(readings_table([reading], (768, 624)).data.splitlines()[2])
    | as a width | 22 and 30 | 34 | 48,000 | 10.0% | 149,000 | 31.1% |
    """
    header = ["sizes read", "kernels (px wide)", "c (px)"]
    header += ["least A, inequality (px)", "of the frame", "least A, model (px)", "of the frame "]
    frame = shape[0] * shape[1]
    rows = [
        [
            one.name,
            f"{one.narrow} and {one.wide}",
            one.cells,
            one.least_area,
            one.least_area / frame,
            one.model_area,
            one.model_area / frame,
        ]
        for one in readings
    ]
    return markdown_table(header, rows, ["", "", "", ",.0f", ".1%", ",.0f", ".1%"])


def chain_table(chains: Sequence[Chain | None] | None, slice_numbers: Sequence[int]) -> Markdown:
    """List every step of the argument with its numbers, one row a slice.

    Examples
    --------
    >>> from skullnb.implied import check_chain
    >>> brain = np.zeros((60, 60), dtype=np.uint8)
    >>> brain[20:40, 20:40] = 1
    >>> table = chain_table([check_chain(brain, dilate(brain, 9), 5, 13)], [0])
    >>> print(table.data.splitlines()[2])
    | 0 | 322 | 408 | 408 | 685 | 77 | 760 | yes |
    """
    if chains is None:
        return no_reference("the steps of the argument")
    header = ["slice", "least growth", "growth", "errors", "allowed", "least area", "area", "holds"]
    rows: list[list[Any]] = []
    for number, chain in zip(slice_numbers, chains, strict=True):
        if chain is None:
            rows.append([number, *[None] * 7])
            continue
        growth, grown = chain.steps["growth"]
        errors, allowed = chain.steps["overlap"]
        least, area = chain.steps["reference"]
        rows.append([number, growth, grown, errors, allowed, least, area, chain.holds])
    return markdown_table(header, rows, ["", *[",.0f"] * 6, ""])


def chain_verdict(chains: Sequence[Chain | None] | None) -> str:
    """Say whether the argument held on the slices at hand.

    Needs what `skullnb.implied.recorded` gives.

    Examples
    --------
    >>> chain_verdict([None])
    'No slice has both a component and a reference mask, so there is nothing to check.'
    """
    if chains is None:
        return str(no_reference("the argument").data).replace("computed", "checked")
    if not any(chains):
        return "No slice has both a component and a reference mask, so there is nothing to check."
    return (
        "Every step holds on **{n_holding} of {n_checked}** slices. The least area comes to "
        "{tightest:.0%} of the true one at best: the argument is safe, and not sharp."
    )


def kernel_table(widths: Sequence[int], shape: str = "ellipse") -> Markdown:
    """List what kernels of several widths do: reach to each side, shift, and area.

    Examples
    --------
    >>> print(kernel_table([26]).data.splitlines()[2])
    | 26 | 12 | 13 | 12 | 13 | 0.02 | 0.17 | 545 | 540 |
    """
    header = ["kernel width", "top", "bottom", "left", "right"]
    header += ["shift down", "shift right", "pixels", "pixels of a disc"]
    rows = [
        [
            width,
            *kernel_reach(width, shape),
            *kernel_shift(width, shape),
            int(structuring_element(width, shape).sum()),
            int(disc_element(width).sum()),
        ]
        for width in widths
    ]
    return markdown_table(header, rows, [*[""] * 5, ".2f", ".2f", "", ""])


def mirror_table(
    brains: Sequence[Mask],
    references: Sequence[Mask] | None,
    slice_numbers: Sequence[int],
    widths: Sequence[int],
) -> Markdown:
    """List what is not symmetric about kernels, and what it costs, one row a slice and width.

    Examples
    --------
    >>> brain = np.zeros((60, 60), dtype=np.uint8)
    >>> brain[20:40, 20:40] = 1
    >>> print(mirror_table([brain], None, [0], [26]).data.splitlines()[2])
    | 0 | 26 | 1894 | 52 | 40 | 31 | – |
    """
    header = ["slice", "kernel width (px)", "mask (px)", "changed by mirroring left-right (px)"]
    header += ["by mirroring top-bottom (px)", "by a true disc (px)", "IoU"]
    rows = []
    for index, brain in enumerate(brains):
        for width in widths:
            mask = fill_holes(dilate(brain, width))
            rows.append(
                [
                    slice_numbers[index],
                    width,
                    int(np.count_nonzero(mask)),
                    mirror_asymmetry(brain, width, axis=1),
                    mirror_asymmetry(brain, width, axis=0),
                    disc_difference(brain, width),
                    None if references is None else iou(mask, references[index]),
                ]
            )
    return markdown_table(header, rows, [*[""] * 6, ".4f"])


def mirror_verdict(mirror_px: Sequence[int]) -> str:
    """Say what an even kernel's lopsidedness amounts to on the slices at hand.

    Needs mirror_px and mirror_px_27. `mirror_px`: pixels that mirroring changes at 26 px, one
    number a slice.

    Examples
    --------
    >>> mirror_verdict([0])[:27]
    'No slice shown has a compon'
    """
    if not any(mirror_px):
        return "No slice shown has a component that mirroring could change."
    return (
        "At 26 px mirroring left and right changes {mirror_px} px, at 27 px {mirror_px_27}. That "
        "is a thin line of pixels, too little to see, and no reason to distrust a score. It is a "
        "reason to choose an odd width where there is a choice: **25 and 27 are the symmetric "
        "neighbours.**"
    )


def millimetre_table(kernel_width: int, spacing_mm: tuple[float, float] | None) -> Markdown:
    """Say how far a kernel reaches in mm, and which kernel reaches as far on other pixels.

    Examples
    --------
    >>> print(millimetre_table(26, (0.5, 0.5)).data.splitlines()[-1])
    | 1 | 13 | 6.00 |
    >>> print(millimetre_table(26, (0.5, 1.0)).data)
    A kernel 26 px wide reaches 6.25 mm up and down and 12.50 mm left and right on these slices,
    because their pixels are not square. No one width does better; resample the slices to square
    pixels first.
    """
    if not kernel_width:
        return Markdown("The kernel width is 0, so there is no dilation and no reach to compare.")
    if spacing_mm is None:
        return Markdown(
            f"The pixel size of these slices is not known, so nobody can say how many mm a kernel "
            f"{kernel_width} px wide reaches on them. Give `spacing_mm` to find out."
        )
    down, across = reach_mm(kernel_width, spacing_mm)
    try:
        kernel_width_for(down, spacing_mm)
    except InvalidSetting:
        return Markdown(
            f"A kernel {kernel_width} px wide reaches {down:.2f} mm up and down and {across:.2f} "
            "mm left and right on these slices, because their pixels are not square. No one width "
            "does better; resample the slices to square pixels first."
        )
    rows = []
    for spacing in USUAL_SPACINGS:
        with suppress(InvalidSetting):  # wider than the pipeline takes: no row
            width = kernel_width_for(down, spacing)
            rows.append([spacing, width, reach_mm(width, spacing)[0]])
    header = ["pixel size (mm)", "nearest odd kernel width (px)", "its reach (mm)"]
    return Markdown(
        f"On these slices a kernel {kernel_width} px wide reaches {down:.2f} mm on average. "
        "To reach as far on slices with other pixels:\n\n"
        + markdown_table(header, rows, ["g", "", ".2f"]).data
    )
