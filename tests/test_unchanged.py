"""What must not change: masks and counts to the last bit, numbers to 1e-12.

`tests/golden/` holds the answers of the code before it was rebuilt. `python
tests/test_unchanged.py` writes them anew; a commit that does so says which number changed and why.
The images are in `golden_data.py`.
"""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import golden_data as data
import numpy as np
import pandas as pd
import pytest
from golden_data import differences, real_data
from numpy.typing import NDArray

from skullnb import (
    PipelineSettings,
    Stack,
    create_skull_mask,
    create_skull_masks,
    evidence,
    metrics,
    phantom,
    reach,
    sweep,
    trace_skull_mask,
)
from skullnb.study import history, validation

GOLDEN = Path(__file__).with_name("golden")
PARTS = ("normalised", "binary", "labels", "brain", "dilated", "mask")
SETTINGS = {
    "connectivity 4": {"connectivity": 4},
    "rectangle": {"kernel_shape": "rectangle"},
    "rectangle 25": {"kernel_shape": "rectangle", "kernel_width": 25},
    "threshold 0": {"threshold": 0},
    "threshold 60": {"threshold": 60},
    "threshold 255": {"threshold": 255},
    "holes stay": {"fill_holes": False},
    "holes stay, width 3": {"fill_holes": False, "kernel_width": 3},
    "no edge rule": {"drop_edge_touching": False},
    "all at once": {
        "connectivity": 4,
        "kernel_shape": "rectangle",
        "kernel_width": 7,
        "threshold": 30,
        "fill_holes": False,
        "drop_edge_touching": False,
    },
    "width 255": {"kernel_width": 255},
}


def digest(array: NDArray[Any]) -> str:
    """First 12 digits of the sha256 of an array's kind, shape and content."""
    array = np.ascontiguousarray(array)
    kind = f"{array.dtype.newbyteorder('=').str} {array.shape}".encode()
    return hashlib.sha256(kind + array.tobytes()).hexdigest()[:12]


def traced(image: NDArray[Any], **chosen: Any) -> dict[str, Any]:
    """Pin one slice: the mask is the quick one's, everything else the trace's."""
    settings = PipelineSettings(**chosen)
    trace = trace_skull_mask(image, settings)
    quick = create_skull_masks(np.asarray(image)[np.newaxis], settings)[0]
    assert digest(quick) == digest(trace.mask)
    components = np.array(trace.components.tolist(), dtype=np.int64).reshape(-1, 7)
    return {
        **{part: digest(getattr(trace, part)) for part in PARTS},
        "threshold": trace.threshold,
        "n_components": len(components),
        "n_edge_touching": trace.n_edge_touching,
        "components": digest(components),
        "chosen": trace.chosen,
        "areas": [int(np.count_nonzero(one)) for one in (trace.brain, trace.dilated, trace.mask)],
        "rules": [[int(one.fired), one.n_pixels] for one in trace.rules],
        "reason": trace.reason,
    }


def stack_arrays(make: Callable[[], Stack]) -> dict[str, Any]:
    """Pin a stack and, slice by slice, everything the pipeline makes of it."""
    stack = make()
    masks = [create_skull_mask(image) for image in stack.images]
    found = {str(number): traced(image) for number, image in enumerate(stack.images)}
    assert [digest(mask) for mask in masks] == [one["mask"] for one in found.values()]
    return {
        "images": digest(stack.images),
        "reference": digest(stack.reference),
        "spacing_mm": list(stack.spacing_mm or ()),
        "groups": list(stack.groups or ()),
        **found,
    }


def image_arrays(images: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, Any]:
    return {name: traced(image) for name, image in images().items()}


def some_images() -> dict[str, NDArray[Any]]:
    """Images on which every setting makes a difference."""
    return {
        "published": data.published().images[2, ::2, ::2],
        "cut": data.variant("scalp-cut-two-sides").images[1, ::2, ::2],
        "blocks": data.noise_images()["blocks"],
        **{name: data.tie_images()[name] for name in ("rings", "diagonal", "one-inside")},
    }


def settings_arrays() -> dict[str, Any]:
    return {
        f"{name}, {what}": traced(image, **chosen)
        for name, image in some_images().items()
        for what, chosen in SETTINGS.items()
    }


def width_arrays() -> dict[str, Any]:
    """Masks at every width from 0 to 40."""
    found = {}
    for name, image in some_images().items():
        for shape in ("ellipse", "rectangle"):
            settings = PipelineSettings(kernel_shape=shape)
            masks = (
                create_skull_masks(image[np.newaxis], replace(settings, kernel_width=width))[0]
                for width in range(41)
            )
            found[f"{name}, {shape}"] = " ".join(digest(mask) for mask in masks)
    return found


def fixed_masks() -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Pairs of masks: noise, shifted blocks, one or both empty, full frames, single pixels."""
    draw = np.random.Generator(np.random.PCG64(5)).integers
    noise = (draw(0, 2, (40, 50)), draw(0, 2, (40, 50)))
    block = np.zeros((40, 50), dtype=np.int64)
    block[10:30, 12:31] = 1
    shifted = np.roll(block, (3, -2), axis=(0, 1))
    dots = block * 0, block * 0
    dots[0][4, 5] = dots[1][20, 40] = 1
    empty, full = block * 0, block * 0 + 1
    pairs = [noise, (block, shifted), (block, block), (block, empty), (empty, block), dots]
    pairs += [(empty, empty), (full, block), (block, full), (full, full)]
    return [(one.astype(np.uint8), other.astype(bool)) for one, other in pairs]


def made_up_scores() -> pd.DataFrame:
    """Five heads of three slices, each with a best width of its own."""
    draw = np.random.Generator(np.random.PCG64(8)).integers
    widths = np.arange(10, 43, 2)
    best = (18 + draw(0, 17, 5)).repeat(3) + draw(-1, 2, 15)
    scores = (9800 - 2 * (widths - best[:, np.newaxis]) ** 2) / 10_000
    index = [list("aaabbbcccdddeee"), range(15)]
    return pd.DataFrame(scores, pd.MultiIndex.from_arrays(index, names=["volume", "slice"]), widths)


def plain(value: Any) -> Any:
    """Turn tables, arrays and numpy's numbers into what JSON holds; NaN and infinity as texts."""
    if isinstance(value, pd.DataFrame):
        value = value.to_dict("list")
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def evidence_of(stack: Stack) -> Any:
    ledger = evidence.build_ledger(stack)
    by_volume = evidence.summarise(ledger, by="group")
    return {"ledger": ledger, "rules": evidence.summarise(ledger), "by volume": by_volume}


def sweep_of(stack: Stack, widths: Sequence[int], names: Sequence[str]) -> Any:
    rows = sweep.sweep_kernel_width(stack, widths, names)
    best = {name: sweep.best_width(rows, name) for name in names}
    return {"rows": rows, "means": sweep.summarise(rows), "best": best}


def validation_of(scores: pd.DataFrame) -> Any:
    """Splits, tuning on one volume, the negative control, and how alike slices are."""
    ways = (validation.apparent, validation.leave_one_slice_out, validation.leave_one_volume_out)
    control = validation.negative_control(scores, n_draws=50)
    volumes = scores.index.get_level_values("volume")
    alike = validation.correlation(scores.max(axis=1), volumes)
    return {
        "splits": [test(scores) for test in ways],
        "one volume": validation.tune_on_each_volume(scores),
        "control": [*control, control.slice_split_is_fooled, control.volume_split_passes],
        "correlation": alike,
        "effective number": validation.effective_number(len(scores), volumes.nunique(), alike),
    }


def validation_of_sweep(stack: Stack, widths: Sequence[int]) -> Any:
    return validation_of(validation.score_table(sweep.sweep_kernel_width(stack, widths)))


def small_numbers() -> Any:
    """What few cases can say."""
    ways = (validation.zero_failure_bound, validation.smallest_sign_test_p)
    return [[say(n) for say in ways] for n in (1, 2, 5, 6, 20, 59)]


def history_of(stack: Stack) -> Any:
    """IoU of every recipe, v1 to v7, on every slice, and of two families of recipes."""
    pairs = list(zip(stack.images, stack.reference, strict=True))
    return {
        "recipes": history.measure(stack),
        "slices": [
            [metrics.iou(one.make_mask(image), reference) for image, reference in pairs]
            for one in history.RECIPES
        ],
        "thresholds": history.scan(stack, history.fixed_threshold, (1, 4, 28, 60), ending="filled"),
        "passes": history.scan(stack, history.component_grown_in_passes, (1, 3, 10)),
    }


def reach_of(brain: NDArray[np.uint8]) -> Any:
    """How far kernels reach, in px and mm, and what their lopsidedness does to a mask."""
    some = (0, 1, 2, 3, 25, 26, 27, 255, 256)
    asked = [(mm, side) for mm in (0.4, 2.0, 4.7, 4.9, 12.0) for side in (0.375, 0.7, 1.0)]
    found: dict[str, Any] = {
        shape: {
            "sides": [reach.kernel_reach(width, shape) for width in range(61)],
            "mirrored": [reach.mirror_asymmetry(brain, width, shape) for width in (25, 26)],
            "mm": [reach.reach_mm(width, (0.5, 0.75), shape) for width in some],
        }
        for shape in ("ellipse", "rectangle")
    }
    return found | {"odd width for": [reach.kernel_width_for(*one) for one in asked]}


def metrics_of(pairs: Iterable[tuple[Any, Any]], spacing_mm: Any = None) -> Any:
    """Every metric of every pair of masks, their mean, and the overlaps pooled over pixels."""
    scores = metrics.score_slices(*zip(*pairs, strict=True), spacing_mm)
    return {"slices": scores, "together": metrics.aggregate(scores)}


def volume_metrics() -> Any:
    draw = np.random.Generator(np.random.PCG64(6)).integers
    first, second = draw(0, 2, (2, 6, 9, 11)).astype(np.uint8)
    spacing = (3.0, 0.5, 0.75)
    return [metrics.score(first, second, spacing), metrics.nsd(first, second, 2.0, spacing)]


ALL_METRICS = metrics.OVERLAPS + metrics.DISTANCES
VARIANTS = tuple(phantom.VARIANTS)

ARRAYS: dict[str, Callable[[], Any]] = {
    "published": partial(stack_arrays, data.published),
    "subject 11": partial(stack_arrays, partial(phantom.subject, 11, 3)),
    "small cohort": partial(stack_arrays, data.small_cohort),
    **{f"variant {one}": partial(stack_arrays, partial(data.variant, one)) for one in VARIANTS},
    "noise": partial(image_arrays, data.noise_images),
    "ties": partial(image_arrays, data.tie_images),
    "settings": settings_arrays,
    "widths": width_arrays,
    **{
        f"head {one}": partial(stack_arrays, lambda one=one: data.head(one, real_data()))
        for one in data.HEADS
    },
}
NUMBERS: dict[str, Callable[[], Any]] = {
    "evidence, published": lambda: evidence_of(data.published()),
    "evidence, small cohort": lambda: evidence_of(data.small_cohort()),
    "evidence, bridge-and-cut": lambda: evidence_of(data.variant("bridge-and-cut")),
    "evidence, hemispheres-apart": lambda: evidence_of(data.variant("hemispheres-apart")),
    "evidence, every rule": lambda: evidence_of(data.every_rule()),
    "evidence, odd": lambda: evidence_of(data.odd()),
    "sweep 22..30": lambda: sweep_of(data.published(), range(22, 31, 2), ALL_METRICS),
    "sweep 16..36": lambda: sweep_of(data.published(), range(16, 37, 2), ("iou", "dice")),
    "sweep, small cohort": lambda: sweep_of(data.small_cohort(), range(0, 16), ALL_METRICS),
    "validation, made up": lambda: validation_of(made_up_scores()),
    "validation, small cohort": lambda: validation_of_sweep(data.small_cohort(), range(2, 16)),
    "small numbers": small_numbers,
    "history, published": lambda: history_of(data.published()),
    "history, small cohort": lambda: history_of(data.small_cohort()),
    "reach": lambda: reach_of(trace_skull_mask(data.published().images[2]).brain),
    "metrics, px": lambda: metrics_of(fixed_masks()),
    "metrics, mm": lambda: metrics_of(fixed_masks(), (0.5, 2.0)),
    "metrics, volume": volume_metrics,
}


@cache
def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ARRAYS)
def test_masks_and_all_before_them_are_the_same_to_the_last_bit(name):
    assert differences(golden("arrays.json")[name], ARRAYS[name](), relative=0) == []


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_the_same(name):
    assert differences(golden("numbers.json")[name], plain(NUMBERS[name]())) == []


def test_nothing_pinned_is_left_out():
    assert set(golden("arrays.json")) == set(ARRAYS)
    assert set(golden("numbers.json")) == set(NUMBERS)


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name, cases in (("arrays.json", ARRAYS), ("numbers.json", NUMBERS)):
        found = {key: json.dumps(plain(make())) for key, make in cases.items()}
        lines = [f"{json.dumps(key)}:{one}" for key, one in found.items()]
        (GOLDEN / name).write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
