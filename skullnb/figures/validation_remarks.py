"""What the validation chapter says about the data at hand.

Sentences are for `skullnb.chapter.Chapter.say`, so that no number is typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skullnb.validation import Control, Source


def source_sentence(source: Source) -> str:
    """Say what the chapter runs on, and why.

    Needs what `source_numbers` returns.

    Examples
    --------
    >>> from skullnb.validation import ScoreMatrix
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("anna", "ben"))
    >>> source_sentence(Source(matrix, False, ""))[:41]
    'This chapter runs on **{source}**: {n_sli'
    """
    tried = "at {n_widths} kernel widths from {width_min} to {width_max} px"
    if not source.is_cohort:
        return (
            "This chapter runs on **{source}**: {n_slices} slices of {n_volumes} volumes, "
            f"{tried}."
        )
    return (
        f"In the given data {source.why}: no volume can be held out. So this chapter runs on "
        f"**{{source}}**: {{n_slices}} slices of {{n_volumes}} drawn heads, {tried}. The heads "
        "are spread around that of the built-in phantom, in size, bone, scalp, folding and coil; "
        "their pixels measure {spacing_min} to {spacing_max} mm, as protocols differ. How wide "
        "this spread is was *assumed*, so the sizes of all effects below are examples. That they "
        "exist, and which split sees them, is the point."
    )


def one_volume_sentence(one_slice_out_saw: float | None) -> str:
    """Say what tuning on one volume promised and what it was worth.

    Needs what `one_volume_numbers` returns. `one_slice_out_saw`: the part of the optimism that
    leave-one-slice-out noticed.

    Examples
    --------
    >>> one_volume_sentence(None)[-47:]
    '{one_elsewhere:.4f}**, {one_optimism:.4f} less.'
    """
    text = (
        "Tuned on one volume, the kernel scores IoU **{one_apparent:.4f}** on the slices it was "
        "tuned on (mean over volumes). On the other volumes the same kernel scores **IoU "
        "{one_elsewhere:.4f}**, {one_optimism:.4f} less."
    )
    if one_slice_out_saw is None:
        return text
    return text + (
        " Leave-one-slice-out within the volume says {one_slice_out:.4f}: it noticed "
        "**{one_slice_out_saw:.1%}** of that loss."
    )


def split_sentence(numbers: Mapping[str, Any]) -> str:
    """Say what the three ways of testing found, in px and in mm.

    Needs the same numbers. `numbers`: from `split_numbers`.

    Examples
    --------
    >>> split_sentence({"nested_mm": None})[-46:]
    'kernel fixed in mm would be the same one here.'
    """
    text = (
        "One kernel for all, in px: **{apparent:.4f}** on the same slices, {slice_out:.4f} by "
        "slice, **{nested:.4f}** by volume; the optimism is **{optimism:.4f}**."
    )
    if numbers["nested_mm"] is None:
        return text + (
            " The pixels all have one size, or an unknown one: a kernel fixed in mm would be the "
            "same one here."
        )
    text += (
        " Fixed in mm instead, the nested score is **{nested_mm:.4f}** and the optimism "
        "{optimism_mm:.4f}. The kernel in mm is better on {n_mm_better} volumes and worse on "
        "{n_mm_worse} (sign test, p = {sign_p:.2g})"
    )
    if numbers["sign_p"] < 0.05:
        return text + ", which is more than chance would do."
    return text + ": these volumes do not tell which of the two is better."


def control_sentence(control: Control, fixed: float) -> str:
    """Say which split noticed that the selector knows nothing.

    Needs control_by_slice, control_by_volume, control_worth and nested. `fixed`: nested score of
    one kernel for all.

    Examples
    --------
    >>> import numpy as np
    >>> control_sentence(Control(np.array([0.9]), np.array([0.5]), 0.5), 0.7)[:34]
    '**The split by slice is fooled**: '
    """
    if not control.slice_split_is_fooled:
        return (
            "**The control is silent on this data**: by slice {control_by_slice:.4f}, by volume "
            "{control_by_volume:.4f}, worth {control_worth:.4f}. The volumes want kernels so "
            "alike, or have so few slices, that knowing the volume gives nothing away."
        )
    text = (
        "**The split by slice is fooled**: it gives the selector {control_by_slice:.4f}, where it "
        "is worth {control_worth:.4f}."
    )
    if control.by_slice.mean() > fixed > control.worth:
        text += (
            " It would prefer this selector to one kernel for all ({nested:.4f}), which is better."
        )
    if control.volume_split_passes:
        return text + " **The split by volume is not**: it says {control_by_volume:.4f}."
    return text + (
        " "
        "The split by volume says {control_by_volume:.4f}, which is not that worth either: "
        "volumes with very different numbers of slices can do this."
    )


def dependence_sentence(correlation: float | None) -> str:
    """Say what the slices are worth, given how alike those of one volume are.

    Needs what `dependence_numbers` returns, n_slices, n_volumes, and coverage_shared where there is
    a correlation.

    Examples
    --------
    >>> dependence_sentence(None)[:43]
    'How alike slices of one volume are cannot b'
    """
    if correlation is None:
        return (
            "How alike slices of one volume are cannot be told here: every volume has one slice, "
            "or all scores are equal."
        )
    return (
        "Scores of slices of one volume have an intraclass correlation of **{correlation:.2f}** "
        "here: {n_slices} slices of {n_volumes} volumes are worth about "
        "**{effective_number:.0f}** independent ones. And of 95% intervals (Student's t) from "
        "five slices of *one* volume that are so alike, only **{coverage_shared:.0%}** would hold "
        "the mean over volumes."
    )
