"""Figures of times: where they go, beside rivals, how they grow, and what tasks cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skullnb.bench import NAMES
from skullnb.figures.layout import ACCENT, LEGEND, headline
from skullnb.figures.style import PALETTE, PageFigure, new_figure

_COLOURS = {
    "literal": PALETTE["reference"],
    "numba": PALETTE["mask"],
    "numpy": PALETTE["brain"],
    "opencv": PALETTE["scalp"],
    "floor": PALETTE["text"],
}
_OTHERS = PALETTE["skull"]
_MARKERS = {"literal": "o", "numba": "s", "numpy": "D", "opencv": "^", "floor": "v"}


def stage_bars(stages: Mapping[str, Mapping[str, float]]) -> PageFigure:
    """Draw what each stage costs: the article's way above, skullnb's below, on one scale.

    `stages`: from `skullnb.bench.time_stages`.

    Examples
    --------
    >>> stages = {"literal": {"dilate": 2.0, "fill": 6.0}, "numpy": {"dilate": 0.2, "fill": 0.1}}
    >>> stage_bars(stages).get_suptitle().split("; ")[0]
    "The article's way: fill takes 75%"
    """
    ways = [way for way in ("literal", "numba", "numpy") if stages.get(way)]
    ways = ways[: 2 if "literal" in ways else 1]
    names = list(stages[ways[0]])
    figure, axes = new_figure(1.2 + 0.55 * len(names))
    high = 0.8 / len(ways)
    for number, way in enumerate(ways):
        values = [stages[way].get(name, 0.0) for name in names]
        places = np.arange(len(names)) + (number - (len(ways) - 1) / 2) * high
        bars = axes.barh(places, values, high * 0.9, color=_COLOURS[way], label=NAMES[way])
        labels = [f"{value:.2f} ms · {value / sum(values):.0%}" for value in values]
        axes.bar_label(bars, labels, padding=4, color=PALETTE["text"], fontsize=9)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("ms a slice, and the share of all stages")
    figure.legend(**LEGEND, loc="outside lower center", ncols=2)
    found = []
    for way in ways:
        slowest = max(stages[way], key=lambda name: stages[way][name])
        share = stages[way][slowest] / sum(stages[way].values())
        found.append(f"{NAMES[way]}: {slowest} takes {share:.0%}")
    text = "; ".join(found)
    headline(figure, text[0].upper() + text[1:])
    return figure


def rival_bars(slices: Mapping[str, Mapping[str, Any]]) -> PageFigure:
    """Draw the time of every contestant, quickest below, on a scale of factors of ten.

    `slices`: from `skullnb.bench.compare`.

    Examples
    --------
    >>> one = {"ms": [1.0, 1.0, 2.0], "times_floor": [10, 10, 20]}
    >>> rival_bars({"numpy": one, "floor": {"ms": [0.1, 0.1, 0.1]}}).get_suptitle()
    'The quickest way to a mask takes 10 times as long as the floor'
    """
    names = sorted(slices, key=lambda name: -slices[name]["ms"][1])
    figure, axes = new_figure(1.0 + 0.36 * len(names))
    quartiles = np.array([slices[name]["ms"] for name in names], dtype=float)
    middle = quartiles[:, 1]
    start = 10 ** np.floor(np.log10(middle.min()) - 0.2)
    bars = axes.barh(
        [NAMES[name] for name in names],
        middle - start,
        left=start,
        height=0.62,
        color=[_COLOURS.get(name, _OTHERS) for name in names],
        xerr=[middle - quartiles[:, 0], quartiles[:, 2] - middle],
        error_kw={"ecolor": PALETTE["text"], "elinewidth": 1},
    )
    axes.bar_label(
        bars, [f"{value:.2g} ms" for value in middle], padding=6, color=PALETTE["text"], fontsize=9
    )
    axes.set_xscale("log")
    axes.set_xlim(start, middle.max() * 4)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("ms a slice in factors of ten, median and quartiles")
    masks = [name for name in names if name != "floor"]
    ratio = slices[masks[-1]]["times_floor"][1]
    headline(figure, f"The quickest way to a mask takes {ratio:.2g} times as long as the floor")
    return figure


def growth_lines(size: Mapping[str, Any], components: Mapping[str, Any]) -> PageFigure:
    """Draw times against the pixels of a slice, and against its components.

    `size`, `components`: the parts of `skullnb.bench.bench` of these names.

    Examples
    --------
    >>> part = {"ms": {"literal": [[1, 1, 1], [4, 4, 4]]}, "exponent": {"literal": [1, 1, 1]}}
    >>> size, components = {"sides": [1, 2], **part}, {"components": [1, 10], **part}
    >>> growth_lines(size, components).get_suptitle().split(": ")[0]
    'Ten times the components'
    """
    figure, axes = new_figure(4.4, columns=2, sharey=True)
    _lines(axes[0], [side**2 for side in size["sides"]], size, "pixels of a slice")
    _lines(axes[1], components["components"], components, "components of a slice")
    axes[0].set_ylabel("ms a slice")
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, **LEGEND)
    found = ", ".join(
        f"{NAMES[name]} {'takes ' * (name == 'literal')}{10 ** components['exponent'][name][1]:.2g}"
        f"{' times as long' * (name == 'literal')}"
        for name in ("literal", "numba", "opencv")
        if name in components["exponent"]
    )
    headline(figure, f"Ten times the components: {found}")
    return figure


def task_line(tasks: Sequence[Mapping[str, Any]]) -> PageFigure:
    """Draw slices a second on a Dask cluster, against the slices of a task.

    `tasks`: of `skullnb.bench.bench`.

    Examples
    --------
    >>> small = {"slices_a_task": 1, "slices_a_second": [1.0, 2.0, 3.0]}
    >>> large = {"slices_a_task": 20, "slices_a_second": [3.0, 3.0, 3.0]}
    >>> task_line([small, large]).get_suptitle()
    'Tasks of 20 slices instead of 1: 1.5 times as many a second'
    """
    sizes = [task["slices_a_task"] for task in tasks]
    low, middle, high = np.transpose([task["slices_a_second"] for task in tasks])
    figure, axes = new_figure(2.9)
    axes.fill_between(sizes, low, high, color=PALETTE["mask"], alpha=0.25, linewidth=0)
    axes.plot(sizes, middle, "o-", color=PALETTE["mask"])
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(0, 1.1 * high.max())
    axes.set_xlabel("slices in a task")
    axes.set_ylabel("slices a second")
    best = int(np.argmax(middle))
    headline(
        figure,
        f"Tasks of {sizes[best]} slices instead of {sizes[0]}: "
        f"{middle[best] / middle[0]:.1f} times as many a second",
    )
    return figure


def plan_lines(rate: float, useful_rate: Mapping[str, float]) -> PageFigure:
    """Draw slices a second against workers: what they compute, and what storages deliver.

    `rate`: slices a second of one worker, measured. `useful_rate`: by storage, slices a second
    that it delivers.

    Examples
    --------
    >>> plan_lines(100.0, {"a disk": 400.0}).get_suptitle()
    'A disk keeps 4 workers busy'
    """
    most = int(np.ceil(2 * max(useful_rate.values()) / rate)) + 1
    workers = np.unique(np.geomspace(1, max(most, 4), 60))
    figure, axes = new_figure(3.4)
    axes.plot(workers, rate * workers, color=PALETTE["mask"], label="computing, projected")
    axes.plot([1], [rate], "o", color=PALETTE["mask"], label="computing, measured")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for name, delivered in useful_rate.items():
        axes.axhline(delivered, color=ACCENT, linewidth=1, linestyle="--")
        axes.annotate(
            name,
            (1, delivered),
            xytext=(2, 3),
            textcoords="offset points",
            fontsize=9,
            color=PALETTE["text"],
        )
    axes.set_xlabel("workers")
    axes.set_ylabel("slices a second")
    axes.legend(**LEGEND, loc="lower right")
    name, delivered = next(iter(useful_rate.items()))
    busy = max(1, round(delivered / rate))
    words = f"{busy} worker{'s' if busy > 1 else ''}"
    headline(figure, f"{name[0].upper()}{name[1:]} keeps {words} busy")
    return figure


def _lines(axes: Any, sizes: Sequence[float], part: Mapping[str, Any], label: str) -> None:
    labelled = False
    for name, triples in part["ms"].items():
        low, middle, high = np.transpose(triples)
        colour, known = _COLOURS.get(name, _OTHERS), name in _COLOURS
        axes.plot(
            sizes,
            middle,
            marker=_MARKERS.get(name, ""),
            linestyle="-" if known else ":",
            markersize=4,
            color=colour,
            label=NAMES[name] if known else "" if labelled else "other libraries",
        )
        labelled = labelled or not known
        axes.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label)
