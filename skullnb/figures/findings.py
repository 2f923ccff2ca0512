"""What the chapters on the pipeline's stages say about the data at hand.

Some sentences carry fields for `skullnb.chapter.Chapter.say`; the others are given the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skullnb.pipeline import SkullMaskTrace

# Bright pixels in one component; a scalp of its own takes more than the rest.
NEARLY_ALL = 0.95


def origin(is_published_stack: bool, has_reference: bool) -> str:
    """Say where the data comes from and what that allows.

    Needs data_name and n_slices.

    Examples
    --------
    >>> origin(is_published_stack=False, has_reference=True)[:31]
    'These are **your slices** ({dat'
    """
    if is_published_stack:
        return (
            "These {n_slices} slices are **synthetic**. The article's data is not public, so a "
            "drawn head stands in for it. The drawing was *calibrated to* the article's figures: "
            "its parameters were tuned until they came out. Where the two agree in this book, they "
            "agree by construction. What the stand-in is good for: every step can be run, looked "
            "at and broken, and its reference mask is exact."
        )
    if has_reference:
        return (
            "These are **your slices** ({data_name}: {n_slices}), with a reference mask. The "
            "chapters measure how well the pipeline's masks agree with it."
        )
    return (
        "These are **your slices** ({data_name}: {n_slices}), without a reference mask. The "
        "chapters show what each step does; none can say how good the result is."
    )


def chosen_pixel_size(is_published_stack: bool, spacing_mm: tuple[float, float] | None) -> str:
    """Say that the built-in head's pixel size is a choice of its drawing, not a published figure.

    Starts with a space, to follow another sentence; "" for other data.

    Examples
    --------
    >>> chosen_pixel_size(True, (0.4, 0.4))[:57]
    ' The article gives no pixel size; the 0.4 mm of this head'
    >>> chosen_pixel_size(False, (0.4, 0.4))
    ''
    """
    if not is_published_stack or spacing_mm is None:
        return ""
    sides = " × ".join(f"{side:g}" for side in dict.fromkeys(spacing_mm))
    return (
        f" The article gives no pixel size; the {sides} mm of this head were *chosen for the "
        "drawing*. Every length, area and score in mm on it rests on that choice."
    )


def implied_by_threshold(thresholds: Sequence[int]) -> str:
    """Say what thresholds alone tell about the bright pixels.

    Needs bright_in_upper_half (a share, measured).

    Examples
    --------
    >>> "at most **23%** of the bright" in implied_by_threshold([23, 20])
    True
    >>> implied_by_threshold([90])[:30]
    'A threshold as high as the hig'
    """
    highest = max(int(level) for level in thresholds)
    measured = " Measured on the slices shown: **{bright_in_upper_half:.2%}**."
    share = most_in_upper_half(highest)
    if share >= 1:
        return (
            f"A threshold as high as the highest here, {highest}, allows any share of the bright "
            "pixels in the upper half of the scale." + measured
        )
    bound = (
        f"Take the highest threshold here, {highest}. The mean of the bright pixels is then at "
        f"most about {2 * (highest + 1)}, on a scale that ends at 255. So at most **{share:.0%}** "
        "of the bright pixels can lie in the upper half of the scale, or their mean would be "
        "higher."
    )
    if share > 0.5:
        return bound + " That is not much of a limit: the threshold is not low." + measured
    return (
        f"{bound} And yet some pixel sits at 255, because normalising puts one there. A low "
        "threshold means: a minority of very bright pixels claims most of the scale, and the "
        "tissue is crowded at its lower end." + measured
    )


def most_in_upper_half(threshold: int) -> float:
    """Bound the share of bright pixels above level 127, given Otsu's threshold alone.

    In [0, 1]. The class means add up to at most 2 (t + 1) where the levels next to the threshold
    are in use, so the bright mean is no higher; bright pixels lie at t + 1 or above, so a share s
    at 128 or above makes their mean at least (1 - s)(t + 1) + 128 s.

    Examples
    --------
    >>> round(most_in_upper_half(23), 3)
    0.231
    """
    first = threshold + 1
    return min(1.0, first / (128 - first)) if first < 128 else 1.0


def warned(warnings: Sequence[Sequence[str]]) -> str:
    """Say how many slices the pipeline warned about, and of what.

    Examples
    --------
    >>> warned([(), ()])
    'None of the 2 slices gave a warning.'
    """
    some = [one for one in warnings if one]
    if not some:
        return f"None of the {len(warnings)} slices gave a warning."
    return (
        f"**{len(some)} of {len(warnings)} slices gave a warning.** The first says: "
        f"*{some[0][0]}*. "
        "The last chapter, [your data](15-your-data.ipynb), lists them all."
    )


def edge_rule(n_edge_touching: Sequence[int], is_published_stack: bool) -> str:
    """Say whether the rule about edge-touching components fired, and what follows.

    Examples
    --------
    >>> edge_rule([0, 0], is_published_stack=False)[:29]
    '**The rule never fired**: no '
    """
    counts = np.asarray(n_edge_touching)
    fired = int(np.count_nonzero(counts))
    if fired:
        return (
            f"**The rule fired** on {fired} of {len(counts)} slices and dropped {counts.sum():,} "
            "components. Whether that helped is another question: the dropped region may be scalp, "
            "or noise, or a brain that reaches the frame. Look at those slices before trusting it."
        )
    text = (
        f"**The rule never fired**: no bright component touches the frame on any of the "
        f"{len(counts)} slices. With the rule or without it, every mask here is the same, pixel "
        "for pixel. These slices say nothing about the rule, neither for it nor against it. "
        "*A rule that never fired is a rule not tested.*"
    )
    if is_published_stack:
        text += (
            " The article reports the same of its own slices. Its first explanation had credited "
            "this rule with the score; a later review found the zeros, and the author corrected it."
        )
    return text


def hole_rule(
    n_filled: Sequence[int], shown_before: Sequence[int], shown_after: Sequence[int]
) -> str:
    """Say what the filling added, and what follows when it added nothing.

    `n_filled`: pixels that the fill added to each dilated mask, for every slice. `shown_before`,
    `shown_after`: enclosed pixels before and after the dilation, for the slices shown.

    Examples
    --------
    >>> hole_rule([0, 0], [8000, 6000], [0, 0])[:30]
    '**The fill never fired**: on n'
    """
    filled, before, after = np.asarray(n_filled), sum(shown_before), sum(shown_after)
    counts = (
        f" The slices shown had {before:,} px of holes before the dilation, and {after:,} px after "
        "it."
    )
    if filled.any():
        return (
            f"**The fill fired** on {np.count_nonzero(filled)} of {len(filled)} slices and added "
            f"{filled.sum():,} px in all.{counts}"
        )
    closed = " The dilation had closed every one of them." if before else ""
    return (
        f"**The fill never fired**: on none of the {len(filled)} slices does the dilated component "
        f"enclose a hole.{counts}{closed} Leave the last step out, and every mask here stays the "
        "same. As with the edge-touching rule, *a step that never fired is a step not tested*."
    )


def separation(traces: Sequence[SkullMaskTrace]) -> str:
    """Say whether the chosen component leaves any bright tissue to other components.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.zeros((9, 9))
    >>> image[2:7, 2:7] = 1
    >>> separation([trace_skull_mask(image)])[:28]
    '**Look twice**: on 1 of the '
    """
    shares = [
        np.count_nonzero(trace.brain) / np.count_nonzero(trace.binary)
        for trace in traces
        if trace.chosen
    ]
    if not shares:
        return f"On none of the {len(traces)} slices shown was a component chosen."
    merged = sum(share > NEARLY_ALL for share in shares)
    if not merged:
        return (
            f"On none of the {len(traces)} slices shown does the chosen component hold more than "
            f"{NEARLY_ALL:.0%} of the bright pixels. The others lie in components of their own, as "
            "they should where a dark skull separates bright scalp from brain."
        )
    return (
        f"**Look twice**: on {merged} of the {len(traces)} slices shown, the chosen component "
        f"holds more than {NEARLY_ALL:.0%} of the bright pixels. If the scalp is bright on these "
        "slices, it is not a component of its own: something bright joins it to the brain, and "
        "the mask grows from both."
    )
