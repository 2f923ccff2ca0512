"""Tables and sentences about times: measured here, recorded, planned, and published."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from IPython.display import Markdown

from skullnb import published
from skullnb.batch import Plan, plan
from skullnb.bench import NAMES
from skullnb.figures.tables import markdown_table
from skullnb.stack import Stack

# GB (10^9 bytes) a second, reading and writing together; to plan by, not measured.
STORAGES = {"a hard disk": 0.2, "a network drive": 1.0, "an NVMe drive": 3.0}


def timing_numbers(
    stages: Mapping[str, Mapping[str, float]], slices: Mapping[str, Any]
) -> dict[str, Any]:
    """Bring times under the names that sentences quote.

    Gives `way`, the quickest of skullnb's; its `share_<stage>` of all stages and `ratio_<stage>`
    to the floor; `ms_whole`, `ratio_whole` and `ms_floor`; and by other ways, `literal_ms`,
    `literal_times` (how often as long as skullnb's) and so on.

    `stages`: from `skullnb.bench.time_stages`. `slices`: from `skullnb.bench.compare`.

    Examples
    --------
    >>> slices = {name: {"ms": [1, ms, 9], "times_floor": [1, 1, 1]}
    ...           for name, ms in (("numpy", 2.0), ("literal", 8.0), ("floor", 0.5))}
    >>> timing_numbers({"numpy": {"fill": 1.0}, "floor": {"floor": 0.5}}, slices)["literal_times"]
    4.0
    """
    way = "numba" if "numba" in slices else "numpy"
    total = sum(stages[way].values())
    ours = slices[way]["ms"][1]
    others = {name: one["ms"][1] for name, one in slices.items() if name not in (way, "floor")}
    return {
        "way": NAMES[way],
        **{f"share_{stage}": ms / total for stage, ms in stages[way].items()},
        **{f"ratio_{stage}": ms / stages["floor"]["floor"] for stage, ms in stages[way].items()},
        "ms_whole": ours,
        "ratio_whole": slices[way]["times_floor"][1],
        "ms_floor": slices["floor"]["ms"][1],
        **{f"{name.replace('-', '_')}_ms": ms for name, ms in others.items()},
        **{f"{name.replace('-', '_')}_times": ms / ours for name, ms in others.items()},
    }


def rival_table(slices: Mapping[str, Mapping[str, Any]]) -> Markdown:
    """One row a contestant: its time with quartiles, two ratios, and how far its masks agree.

    `slices`: from `skullnb.bench.compare`.

    Examples
    --------
    >>> row = {"ms": [1, 2, 3], "times_floor": [4, 5, 6], "iou": 0.998, "differing_px": 70}
    >>> print(rival_table({"scipy": row}).data.splitlines()[2])
    | scipy | 2.00 | 1.00 to 3.00 | – | 5.0 | 0.9980 | 70 |
    """
    rows = [
        [
            NAMES[name],
            one["ms"][1],
            f"{one['ms'][0]:.2f} to {one['ms'][2]:.2f}",
            one["times_faster"][1] if "times_faster" in one else None,
            one["times_floor"][1],
            one["iou"],
            one["differing_px"],
        ]
        for name, one in slices.items()
    ]
    header = ["way", "ms a slice", "quartiles", "times faster than the article's way"]
    header += ["times the floor", "least IoU with the article's masks", "most other pixels"]
    return markdown_table(header, rows, ["", ".2f", "", ".1f", ".1f", ".4f", ",d"])


def batch_table(batch: Mapping[str, Any]) -> Markdown:
    """Batches: slices a second, and the most memory.

    `batch`: of `skullnb.bench.bench`.

    Examples
    --------
    >>> row = {"way": "article", "workers": 2, "slices_a_second": [1, 2, 3], "peak_mb": 9.0}
    >>> print(batch_table({"ways": [row]}).data.splitlines()[2])
    | article | 2 | 2 | 1 to 3 | 9 |
    """
    rows = [
        [
            row["way"],
            row["workers"],
            row["slices_a_second"][1],
            f"{row['slices_a_second'][0]:.0f} to {row['slices_a_second'][2]:.0f}",
            row["peak_mb"],
        ]
        for row in batch["ways"]
    ]
    header = ["way", "workers", "slices a second", "quartiles", "most memory, MB"]
    return markdown_table(header, rows, ["", "", ",.0f", "", ",.0f"])


def plan_by_storage(
    stack: Stack, rates: Mapping[str, float], zarr_share: float | None = None
) -> dict[str, Plan]:
    """Plan as many slices as the article projected, of a stack's shape, for each of `STORAGES`.

    `rates`: measured slices a second. `zarr_share`: as in `skullnb.batch.plan`.

    Examples
    --------
    >>> import numpy as np
    >>> list(plan_by_storage(Stack(np.zeros((1, 8, 8))), {"1 worker": 100.0}))
    ['a hard disk', 'a network drive', 'an NVMe drive']
    """
    height, width = stack.images.shape[1:]
    return {
        name: plan(
            published.PROJECTED_SLICES,
            (height, width),
            rates,
            bandwidth,
            dtype=stack.images.dtype,
            zarr_share=zarr_share,
        )
        for name, bandwidth in STORAGES.items()
    }


def plan_table(plans: Mapping[str, Plan], rate: str) -> Markdown:
    """What many slices need with each storage: by the measured rate, and by how many workers.

    `plans`: by storage, from `skullnb.batch.plan`. `rate`: the name of a measured rate.

    Examples
    --------
    >>> one = plan(100_000, (768, 624), {"1 worker": 90.0}, gb_a_second=0.2)
    >>> print(plan_table({"a hard disk": one}, "1 worker").data.splitlines()[2])
    | a hard disk | 0.2 | 16.5 | 18.5 | compute | 2 |
    """
    rows = [
        [
            name,
            one.assumed["gb_a_second"],
            one.storage_s["packed"] / 60,
            one.compute_s[rate] / 60,
            one.limit[rate]["packed"],
            ceil(one.useful_rate["packed"] / one.measured[rate]),
        ]
        for name, one in plans.items()
    ]
    header = ["storage", "assumed GB/s", "reading and writing, min"]
    header += [f"computing with {rate}, min", "the limit", "workers it keeps busy"]
    return markdown_table(header, rows, ["", "", ".1f", ".1f", "", ",d"])


def sizes_sentence(plan: Plan) -> str:
    """Say how large input and masks are, as Markdown.

    Examples
    --------
    >>> sizes_sentence(plan(100_000, (768, 624), {}, gb_a_second=1.0))[:60]
    '100,000 slices of 768 × 624 px, 4 bytes a pixel, are **192 G'
    """
    known, sizes = plan.assumed, plan.sizes_gb
    text = (
        f"{known['n_slices']:,.0f} slices of {known['rows']} × {known['columns']} px, "
        f"{known['bytes_a_pixel']} bytes a pixel, are **{sizes['input']:.3g} GB** to read. Their "
        f"masks are {sizes['npy']:.3g} GB with a byte a pixel and {sizes['packed']:.2g} GB packed "
        "to a bit"
    )
    if "zarr" in sizes:
        text += f"; compressed in zarr, by the share that was measured, {sizes['zarr']:.2g} GB"
    return text + "."


def published_table() -> Markdown:
    """Say what the article reports about time, and which part of it was measured.

    Examples
    --------
    >>> print(published_table().data.splitlines()[2])
    | one slice, one process | 16.6 ms | measured by its author |
    """
    many = f"{published.PROJECTED_SLICES:,} slices"
    rows = [
        [
            "one slice, one process",
            f"{published.MILLISECONDS_PER_SLICE} ms",
            "measured by its author",
        ],
        [
            f"{many}, one process",
            f"about {published.PROJECTED_MINUTES_ONE_PROCESS} minutes",
            "projected, not measured",
        ],
        [
            f"{many}, eight processes",
            f"about {published.PROJECTED_MINUTES_EIGHT_PROCESSES} minutes",
            "projected, not measured",
        ],
    ]
    table = markdown_table(["published", "time", "how it came about"], rows)
    return Markdown(f"{table.data}\n\n{published.SOURCE}.")


def time_verdict(numbers: Mapping[str, Any]) -> str:
    """Say where the time goes, for `Chapter.say`.

    `numbers`: from `timing_numbers`.

    Examples
    --------
    >>> time_verdict({"share_dilate": 0.7, "share_fill": 0.1, "share_threshold": 0.2})[:69]
    'Of {way}, **dilate** and **threshold** take {share_dilate:.0%} and {s'
    """
    shares = {name: value for name, value in numbers.items() if name.startswith("share_")}
    first, second = sorted(shares, key=lambda name: -shares[name])[:2]
    text = (
        f"Of {{way}}, **{first.removeprefix('share_')}** and **{second.removeprefix('share_')}** "
        f"take {{{first}:.0%}} and {{{second}:.0%}} of the time. The whole costs "
        "**{ratio_whole:.1f} times** the floor: {ms_whole:.2f} ms of processor time a slice, on "
        "this machine, in one thread."
    )
    for name, who in (("literal", "The article's way takes"), ("opencv", "OpenCV with care takes")):
        if f"{name}_times" in numbers:
            text += f" {who} **{{{name}_times:.0f}}** times as long."
    return text


def recorded_sentence(found: Mapping[str, Any]) -> str:
    """Say when and on what a full run was recorded, and what it counted.

    `found`: from `skullnb.bench.recorded`.

    Examples
    --------
    >>> machine = {"processor": "A chip", "cores": "2", "system": "Linux", "python": "3.11.7"}
    >>> recorded_sentence({"date": "2026-11-22", "machine": machine})
    '*Recorded on 2026-11-22: A chip, cores 2, Linux, python 3.11.7.*'
    """
    named = [
        value if name in ("processor", "system") else f"{name} {value}"
        for name, value in found["machine"].items()
    ]
    return f"*Recorded on {found['date']}: {', '.join(named)}.*"


def growth_table(found: Mapping[str, Any]) -> Markdown:
    """By what power of the pixels, and of the components, each way's time grows.

    `found`: from `skullnb.bench.recorded`.

    Examples
    --------
    >>> part = {"exponent": {"scipy": [0.9, 1.0, 1.1]}}
    >>> print(growth_table({"size": part, "components": part}).data.splitlines()[2])
    | scipy | 1.00, 0.90 to 1.10 | 1.00, 0.90 to 1.10 |
    """
    parts = [found[part]["exponent"] for part in ("size", "components")]
    rows = [
        [NAMES[name], *("{1:.2f}, {0:.2f} to {2:.2f}".format(*one[name]) for one in parts)]
        for name in parts[0]
    ]
    header = ["way", "power of the pixels, quartiles", "power of the components, quartiles"]
    return markdown_table(header, rows)


def instruction_table(found: Mapping[str, Any]) -> Markdown:
    """Millions of instructions of one mask; a sentence where nothing counted them.

    `found`: from `skullnb.bench.recorded`.

    Examples
    --------
    >>> print(instruction_table({"instructions": [{"numba": 6.42}, None]}).data.splitlines()[2])
    | skullnb with numba | 6.4 | – |
    """
    counts = [one or {} for one in found["instructions"]]
    if not any(counts):
        return Markdown("*Instructions were not counted in this run; that needs valgrind.*")
    names = [name for name in NAMES if any(name in one for one in counts)]
    rows = [[NAMES[name], *(one.get(name) for one in counts)] for name in names]
    header = ["way", "millions of instructions, typical slice", "with thousands of components"]
    return markdown_table(header, rows, ["", *[",.1f"] * len(counts)])


def sweep_sentences(found: Mapping[str, Any]) -> Markdown:
    """Say what the sweep of kernel widths gained, and what starting costs.

    `found`: from `skullnb.bench.recorded`.

    Examples
    --------
    >>> sweep = {"widths": 15, "slices": 5, "times_faster": {"numpy": [18.0, 19.0, 20.0]}}
    >>> start = {"import_skullnb": 0.15, "first_mask": None, "first_mask_ever": None}
    >>> print(sweep_sentences({"sweep": sweep, "start": start}).data)
    A sweep of 15 kernel widths over 5 slices shares everything before the dilation: skullnb
    without numba is 19 times faster than the article's way. Importing skullnb takes 0.15 s.
    """
    sweep, start = found["sweep"], found["start"]
    gains = " and ".join(
        f"{NAMES[name]} is {ratio[1]:.0f} times" for name, ratio in sweep["times_faster"].items()
    )
    text = (
        f"A sweep of {sweep['widths']} kernel widths over {sweep['slices']} slices shares "
        f"everything before the dilation: {gains} faster than the article's way. Importing "
        f"skullnb takes {start['import_skullnb']:.2f} s."
    )
    if start["first_mask"]:
        text += f" With numba, the first mask of a process waits {start['first_mask']:.1f} s"
        if start["first_mask_ever"]:
            text += f", and the first ever {start['first_mask_ever']:.0f} s, to compile"
        text += "."
    return Markdown(text)
