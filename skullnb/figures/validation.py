"""Figures about validation: kernels by volume, splits, optimism, the control, small samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.figures.layout import ACCENT, LEGEND, headline
from skullnb.figures.style import PALETTE, PageFigure, new_figure, plain
from skullnb.summary import spread
from skullnb.validation import Control, Outcome, ScoreMatrix

_UNIT_STYLE = {"px": ("o", PALETTE["mask"]), "mm": ("D", PALETTE["reference"])}

# More names than these do not fit below a panel.
_MOST_NAMED = 20


def volume_curves(matrix: ScoreMatrix) -> PageFigure:
    """Draw each volume's mean score against the kernel, its best marked, and the mean over all.

    Examples
    --------
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("a", "b"))
    >>> volume_curves(matrix).get_suptitle()
    'The best kernel differs from volume to volume: 24 to 26 px'
    """
    figure, axes = new_figure(3.4)
    means = matrix.volume_means
    best = means.argmax(axis=1)
    for number, row in enumerate(means):
        label = "one volume" if number == 0 else None
        faint = {"color": PALETTE["text"], "alpha": 0.5, "linewidth": 0.8}
        axes.plot(matrix.widths, row, label=label, **faint)
    axes.plot(
        matrix.widths[best],
        means[np.arange(len(means)), best],
        "o",
        color=PALETTE["reference"],
        markersize=5,
        label="its best kernel",
    )
    axes.plot(matrix.widths, means.mean(axis=0), color=PALETTE["mask"], linewidth=2.5, label="mean")
    # Far from the best a curve falls steeply and would hide what happens near it.
    floor = float(means.mean(axis=0).max()) - 6 * float(np.std(means.max(axis=1))) - 0.03
    axes.set_ylim(max(floor, means.min()), None)
    axes.set(xlabel=f"kernel width ({matrix.unit})", ylabel="IoU, mean over a volume's slices")
    axes.legend(loc="upper right", **LEGEND)
    widths = matrix.widths[best]
    if widths.min() < widths.max():
        finding = f"differs from volume to volume: {widths.min():g} to {widths.max():g}"
    else:
        finding = f"is the same on all volumes: {widths[0]:g}"
    headline(figure, f"The best kernel {finding} {matrix.unit}")
    return figure


def one_volume_dots(rows: NDArray[Any]) -> PageFigure:
    """Draw what tuning on one volume promises, and what that kernel does on the others.

    One dot a volume in each of three rows, and their mean. `rows`: from
    `skullnb.validation.tune_on_each_volume`.

    Examples
    --------
    >>> from skullnb.validation import tune_on_each_volume
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("a", "b"))
    >>> one_volume_dots(tune_on_each_volume(matrix)).get_suptitle()
    'Tuned on one volume: IoU 0.8500 on itself, 0.7000 on the others'
    """
    figure, axes = new_figure(2.4)
    names = ("apparent", "slice_out", "elsewhere")
    labels = ("same slices", "leave one slice out", "the other volumes")
    colours = (PALETTE["mask"], PALETTE["mask"], PALETTE["reference"])
    for height, (name, colour) in enumerate(zip(names, colours, strict=True)):
        known = rows[name][np.isfinite(rows[name])]
        axes.plot(known, np.full(len(known), -height), "o", color=colour, alpha=0.45, markersize=6)
        if len(known):
            axes.plot(known.mean(), -height, "|", color=PALETTE["text"], markersize=24, mew=2)
    axes.set_yticks([0, -1, -2], labels)
    axes.set(xlabel="IoU of the kernel that was tuned on one volume (bar: mean)", ylim=(-2.5, 0.5))
    own, other = rows["apparent"].mean(), rows["elsewhere"].mean()
    headline(figure, f"Tuned on one volume: IoU {own:.4f} on itself, {other:.4f} on the others")
    return figure


def fold_kernels(matrix: ScoreMatrix, outcomes: Sequence[Outcome]) -> PageFigure:
    """Draw the kernel chosen in each fold beside the one that would have been best there.

    One panel a unit. `matrix`: with groups, at least two; in px. `outcomes`: from
    `skullnb.validation.compare_splits`; those by volume are drawn, in px or mm.

    Examples
    --------
    >>> from skullnb.validation import compare_splits
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("a", "b"))
    >>> fold_kernels(matrix, compare_splits(matrix)).get_suptitle()
    'Chosen without a volume, the kernel in px is its best in 0 of 2'
    """
    folds = [one for one in outcomes if len(one.held_out) == len(matrix.volumes)]
    folds = [one for one in folds if one.method == "leave one volume out"]
    figure, panels = new_figure(3.0, columns=len(folds), squeeze=False)
    hits = 0
    for axes, outcome in zip(panels[0], folds, strict=True):
        kind = matrix if outcome.unit == matrix.unit else matrix.in_mm()
        own = kind.widths[kind.volume_means.argmax(axis=1)]
        if outcome.unit == matrix.unit:
            hits = int(np.sum(own == outcome.widths))
        marker, colour = _UNIT_STYLE[outcome.unit]
        places = np.arange(1, len(own) + 1)
        axes.vlines(places, own, outcome.widths, color=PALETTE["text"], linewidth=0.8)
        hollow = {"markerfacecolor": "none", "color": PALETTE["text"]}
        axes.plot(places, own, "s", markersize=6, label="best on it", **hollow)
        axes.plot(
            places, outcome.widths, marker, color=colour, markersize=5, label="chosen without it"
        )
        axes.set(xlabel="volume held out", ylabel=f"kernel width ({outcome.unit})")
        named = np.array(spread(len(own), _MOST_NAMED))
        names = [plain(outcome.held_out[index]) for index in named]
        axes.set_xticks(named + 1, names, rotation=90, fontsize=8)
        axes.margins(y=0.4)
        axes.legend(loc="upper left", **LEGEND)
    n = len(matrix.volumes)
    headline(figure, f"Chosen without a volume, the kernel in px is its best in {hits} of {n}")
    return figure


def optimism_curve(curve: NDArray[Any]) -> PageFigure:
    """Draw the score on tuned and on other volumes against the number that was tuned on.

    `curve`: from `skullnb.validation.tuning_curve`.

    Examples
    --------
    >>> from skullnb.validation import tuning_curve
    >>> matrix = ScoreMatrix([[0.9, 0.8], [0.6, 0.8]], [24, 26], ("a", "b"))
    >>> optimism_curve(tuning_curve(matrix)).get_suptitle()
    'Optimism with one volume: 0.1500'
    """
    figure, axes = new_figure(3.0)
    axes.fill_between(
        curve["n_volumes"], curve["elsewhere"], curve["apparent"], color=PALETTE["faint"]
    )
    for name, key, label in (
        ("mask", "apparent", "on the volumes tuned on"),
        ("reference", "elsewhere", "on the other volumes"),
    ):
        axes.plot(curve["n_volumes"], curve[key], "o-", color=PALETTE[name], label=label)
    axes.set_xticks(curve["n_volumes"])
    axes.set(xlabel="volumes tuned on", ylabel="IoU, mean")
    axes.legend(loc="upper right", **LEGEND)
    finding = f"Optimism with one volume: {curve['optimism'][0]:.4f}"
    if len(curve) > 1:
        finding += f"; with {curve['n_volumes'][-1]}: {abs(curve['optimism'][-1]):.4f}"
    headline(figure, finding)
    return figure


def control_figure(control: Control, fixed: float) -> PageFigure:
    """Draw what two splits say of the selector that knows nothing, and what it is worth.

    Histograms over the draws. `fixed`: nested score of one kernel for all, for comparison.

    Examples
    --------
    >>> control_figure(Control(np.array([0.9]), np.array([0.5]), 0.5), 0.7).get_suptitle()
    'Held out by slice it looks like 0.9000; it is worth 0.5000'
    """
    figure, axes = new_figure(2.8)
    everything = np.concatenate([control.by_slice, control.by_volume])
    edges = np.linspace(everything.min(), everything.max() + 1e-6, 60)
    for values, name, label in (
        (control.by_slice, "mask", "held out by slice"),
        (control.by_volume, "reference", "held out by volume"),
    ):
        axes.hist(values, bins=edges, color=PALETTE[name], alpha=0.8, label=label)
    axes.axvline(control.worth, color=ACCENT, linewidth=2, label="its worth on a new volume")
    axes.axvline(fixed, color=PALETTE["text"], linestyle="--", label="one kernel for all, nested")
    axes.set(xlabel="IoU of the selector", ylabel="random draws")
    axes.legend(loc="best", **LEGEND)
    finding = f"Held out by slice it looks like {control.by_slice.mean():.4f}"
    headline(figure, f"{finding}; it is worth {control.worth:.4f}")
    return figure


def coverage_curve(table: NDArray[Any]) -> PageFigure:
    """Draw how often nominal 95% intervals cover the mean, against the sample size.

    `table`: from `skullnb.validation.coverage_table`.

    Examples
    --------
    >>> from skullnb.validation import coverage_table
    >>> figure = coverage_curve(coverage_table((3, 5), n_experiments=50, n_resamples=50))
    >>> len(figure.axes[0].lines)
    5
    """
    figure, axes = new_figure(3.0)
    for key, name, line, label in (
        ("t", "mask", "o-", "Student's t, normal values"),
        ("t_skewed", "mask", "s:", "Student's t, skewed values"),
        ("bootstrap", "reference", "o-", "percentile bootstrap, normal values"),
        ("bootstrap_skewed", "reference", "s:", "percentile bootstrap, skewed values"),
    ):
        axes.plot(table["n"], 100 * table[key], line, color=PALETTE[name], label=label)
    axes.axhline(95, color=PALETTE["text"], linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(table["n"], [str(n) for n in table["n"]])
    axes.minorticks_off()
    axes.set(xlabel="independent values in the sample", ylabel="intervals that cover (%)")
    axes.legend(loc="lower right", **LEGEND)
    five = table[np.abs(table["n"] - 5).argmin()]
    covers = f"{five['bootstrap']:.0%}, or {five['bootstrap_skewed']:.0%} if skewed"
    headline(figure, f"From {five['n']} values, a 95% bootstrap interval covers {covers}")
    return figure
