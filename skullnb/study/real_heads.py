"""The pipeline on the open heads, of which none took part in making it (chapter 12).

The tables were measured once and are stored with the package: `table` reads them, and `recheck`
compares. `python -m skullnb.study.real_heads` measures them anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skullnb import evidence, heads, metrics, pipeline
from skullnb.errors import InvalidSetting
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace
from skullnb.pipeline.signs import SIGNS, neighbour_signs, warnings_of
from skullnb.reach import kernel_width_for
from skullnb.stack import Stack, read_stack
from skullnb.study.timing import versions
from skullnb.volume import find_whole_head, signs_of_volume, skull_mask_of_volume

FOLDER = Path(__file__).parents[1] / "data" / "real_heads"
MEASURES = ["iou", "dice", "assd", "hd95", "nsd"]
POOR_IOU = 0.9
WIDTHS = tuple(range(8, 51, 2))  # px, of *widths*
CUTS = {"left and right": (1,), "all sides": (0, 1)}  # along columns, and along rows too
DEPTHS_MM = (2.0, 5.0)
LABELLED, PICTURED = "colin27", "mne-ecog"
# Named failures, and the axial slice of the pictured head that shows each.
FAILURES = {"merged with scalp": 124, "bright fat": 112, "hemispheres apart": 158}
FAILURES["scalp ring"] = 164
WHOLE_PICTURED = (45, 57, 66, 81, 100, 120, 140, 160, 175, 190)
UNSCORED = {"at the eyes": range(104, 127), "near the vertex": range(152, 175)}
PICTURE_PX = 128  # high

Masks = Iterator[Iterable[Mask]]  # slice by slice, a mask for each setting
# A way to masks, and settings of which it is given the one that does best on other heads.
Method = tuple[Callable[[Stack, Sequence[float]], Masks], Sequence[float]]


def _article_px(stack: Stack, widths: Sequence[float]) -> Masks:
    return (pipeline.masks_by_width(image, map(int, widths)) for image in stack.images)


def _article_mm(stack: Stack, reaches: Sequence[float]) -> Masks:
    return _article_px(stack, [kernel_width_for(one, stack.spacing_mm or 1.0) for one in reaches])


def _dark_growth(stack: Stack, reaches: Sequence[float]) -> Masks:
    settings = [PipelineSettings(border="dark growth", reach_mm=one) for one in reaches]
    for image in stack.images:
        yield (pipeline.measure_slice(image, one, stack.spacing_mm).mask for one in settings)


def _whole_head(stack: Stack, reaches: Sequence[float]) -> Masks:
    """Masks of some slices, found in the whole volume that they are from."""
    whole = heads.load_whole(stack.name)
    places = [whole.slice_numbers.index(number) for number in stack.slice_numbers]
    found = [skull_mask_of_volume(whole.images, _steps(whole), one)[places] for one in reaches]
    return zip(*found, strict=True)


def _finder_alone(stack: Stack, reaches: Sequence[float]) -> Masks:
    """Grow brains that were found in the whole volume by the article's dilation."""
    whole = heads.load_whole(stack.name)
    brain = find_whole_head(whole.images, _steps(whole)).brain
    widths = [kernel_width_for(one, stack.spacing_mm or 1.0) for one in reaches]
    for number in stack.slice_numbers:
        one = brain[whole.slice_numbers.index(number)].astype(np.uint8)
        yield (pipeline.fill_holes(pipeline.dilate(one, width)) for width in widths)


def _steps(stack: Stack) -> tuple[float, float, float]:
    return stack.grids[0].steps_mm if stack.grids and stack.grids[0] else (0.0, 1.0, 1.0)


def _head(stack: Stack) -> str:
    return (stack.groups or ("",))[0]


ARTICLE_PX, ARTICLE_MM, WHOLE = "article, 26 px", "article, reach in mm", "whole head"
NEAR_MM = np.arange(4.0, 12.01, 0.5).tolist()
MOST_MM = np.arange(8.0, 24.01, 2.0).tolist()
METHODS: dict[str, Method] = {ARTICLE_PX: (_article_px, [26]), ARTICLE_MM: (_article_mm, NEAR_MM)}
# Ways that look for the border (chapter 11), and for the brain.
BORDERS: dict[str, Method] = {
    "dark growth": (_dark_growth, MOST_MM),
    WHOLE: (_whole_head, MOST_MM),
    "whole head, dilated": (_finder_alone, NEAR_MM),
}


def about() -> dict[str, Any]:
    """Tell the `date` and `versions` of the stored tables."""
    return dict(json.loads((FOLDER / "about.json").read_text(encoding="utf-8")))


def table(name: str) -> pd.DataFrame:
    """Read a stored table by its name.

    - *slices*: a row a slice: what was chosen, and the signs of its trace, joined by ;
    - *scores*: a row a slice and method: the setting that other heads chose, and scores (mm)
    - *curves*: a row a method, head and setting: mean IoU over the head's slices
    - *border_scores*, *border_curves*: the same two of `BORDERS`
    - *top_to_bottom*: a row a method and labelled slice of the whole head of colin27
    - *widths*: a row a slice, and its IoU at each width (px) of the article's kernel
    - *crops*: a row a slice, sides and depth of a cut: what the edge rule did
    - *rules*: a row a rule of the pipeline, as `skullnb.evidence.summarise` gives it
    - *unscored*: signs on slices of one head that have no reference mask
    """
    return pd.read_csv(FOLDER / f"{name}.csv", dtype={"signs": str}).fillna({"signs": ""})


def pictures() -> dict[str, NDArray[Any]]:
    """Read what can be shown of heads whose grey values cannot: masks, and outlines in mm [x, y].

    `parts_i` (1 other bright component, 2 chosen) and `mask_i` are of failure number i.
    """
    with np.load(FOLDER / "pictures.npz", allow_pickle=False) as file:
        return dict(file)


def what_was_chosen(trace: SkullMaskTrace, reference: Mask) -> str:
    """Name what was taken for the brain, by how much of it is outside, and how little it holds."""
    inside, brain = reference > 0, trace.brain > 0
    n_brain, n_held = np.count_nonzero(brain), np.count_nonzero(brain & inside)
    n_bright = np.count_nonzero((trace.binary > 0) & inside)
    if n_brain - n_held > 0.05 * n_brain:
        return "scalp ring" if n_brain - n_held > 0.5 * n_brain else "merged"
    if not n_brain or n_held < 0.1 * n_bright:
        return "lost"
    return "one part" if n_held < 0.7 * n_bright else "brain"


def cut_into_head(
    image: NDArray[Any], depth_mm: float, spacing_mm: tuple[float, float], axes: Sequence[int]
) -> tuple[slice, ...]:
    """Rows and columns of a frame that cuts so many mm off both ends of the bright tissue."""
    found = pipeline.trace_skull_mask(image).components
    found = found[found["area"] >= 0.01 * found["area"].sum()]  # specks of noise are no head
    frame = [slice(0, side) for side in image.shape]
    for axis in axes:
        first, size = found[("top", "left")[axis]], found[("height", "width")[axis]]
        depth = round(depth_mm / spacing_mm[axis])
        start, stop = int(first.min()) + depth, int((first + size).max()) - depth
        if stop <= start:
            raise InvalidSetting(f"Cutting {depth_mm:g} mm off the head leaves nothing; cut less.")
        frame[axis] = slice(start, stop)
    return tuple(frame)


def edge_outcome(trace: SkullMaskTrace, reference: Mask) -> dict[str, Any]:
    """Say what dropping components that touch the frame did: n_edge_touching, IoUs, outcome."""
    without = evidence.switch_off(trace, "drop edge-touching")
    on, off = (metrics.iou(mask, reference) for mask in (trace.mask, without))
    n, changed = trace.n_edge_touching, int(np.count_nonzero(without != trace.mask))
    outcome = evidence.effect(n, changed, on, off).replace("destroys", "loses the brain")
    return {"n_edge_touching": n, "iou": on, "iou_off": off, "outcome": outcome}


def signs_of(traces: Sequence[SkullMaskTrace], stack: Stack) -> list[str]:
    """Names of the signs of failure on the traced slices of one volume, joined by ;."""
    own = [warnings_of(one.facts, one.settings, stack.spacing_mm, one.reason) for one in traces]
    areas, levels = [one.facts.mask_px for one in traces], [one.threshold for one in traces]
    return _with_jumps(own, areas, levels, stack)


def _with_jumps(
    own: Sequence[Mapping[str, str]], areas: Sequence[int], levels: Sequence[int], stack: Stack
) -> list[str]:
    n, steps, warned = len(own), [_steps(stack)[0]] * len(own), [bool(one) for one in own]
    jumps = neighbour_signs(areas, levels, ["head"] * n, stack.slice_numbers, steps, warned)
    return [";".join({**mine, **jump}) for mine, jump in zip(own, jumps, strict=True)]


def chosen_on_others(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    """Choose a setting for each head by the mean IoU of all *others*: head, setting, own iou."""
    wide = curves[curves.method == method].pivot(index="head", columns="setting", values="iou")
    found = pd.DataFrame({"head": curves["head"].unique()})
    found["setting"] = [wide.drop(index=head).mean().idxmax() for head in found["head"]]
    return found.assign(iou=[wide.loc[head, setting] for head, setting in found.to_numpy()])


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Sum up every method by head, and as the "mean" over heads, in which each counts once.

    Means of the scores, `worst` IoU of a slice, `n_poor` slices with an IoU below `POOR_IOU`.
    """
    poor = scores.assign(n_poor=scores.iou < POOR_IOU, worst=scores.iou)
    by_head = poor.groupby(["method", "head"], sort=False)
    found = by_head.agg({**dict.fromkeys(MEASURES, "mean"), "worst": "min", "n_poor": "sum"})
    mean = found.groupby("method", sort=False).mean()
    mean = mean.assign(head="mean").set_index("head", append=True)
    return pd.concat([found, mean]).loc[scores.method.unique()]


def sign_rates(
    signs: pd.Series[str], failed: pd.Series[bool], names: Sequence[str] = SIGNS
) -> pd.DataFrame:
    """Count hits and false alarms of every sign, and of any; signs are names joined by ;.

    A row a sign: sign, n_hits of n_failures, n_false of n_others.
    """
    shown = {sign: signs.str.split(";").map(lambda one, sign=sign: sign in one) for sign in names}
    shown["any of these"] = signs != ""
    rows = [
        (sign, (there & failed).sum(), failed.sum(), (there & ~failed).sum(), (~failed).sum())
        for sign, there in shown.items()
    ]
    return pd.DataFrame(rows, columns=["sign", "n_hits", "n_failures", "n_false", "n_others"])


def measure(given: Sequence[Stack]) -> dict[str, pd.DataFrame]:
    """Make all tables that `recheck` compares from stacks with reference masks, by name."""
    curves, scores = _chosen_and_scored(METHODS, given)
    rules = evidence.summarise(evidence.combine(map(evidence.build_ledger, given)))
    names = ["rule", "status", "evidence", "n_slices", "n_fired", "n_changed", "iou", "iou_off"]
    reaches = chosen_on_others(curves, ARTICLE_MM).set_index("head").setting
    return {
        "curves": curves,
        "widths": pd.DataFrame(row for stack in given for row in _widths(stack)),
        "scores": scores,
        "slices": pd.DataFrame(row for stack in given for row in _slices(stack)),
        "crops": pd.DataFrame(row for one in given for row in _crops(one, reaches[_head(one)])),
        "rules": rules[names],
    }


def _top_to_bottom(scores: pd.DataFrame) -> pd.DataFrame:
    """Score every labelled slice of a whole head, at what the other heads chose."""
    whole = heads.load_whole(LABELLED)
    assert whole.reference is not None
    labelled = whole.select(np.flatnonzero(whole.reference.any(axis=(1, 2))).tolist())
    chosen = scores[scores["head"] == _head(whole)].groupby("method")["setting"].first()
    signs = dict(zip(whole.slice_numbers, _signs_of_whole(whole), strict=True))
    rows = []
    for name, method in (METHODS | BORDERS).items():
        for place, _, (mask, reference) in _made(method, labelled, (float(chosen[name]),)):
            both, either = np.count_nonzero(mask & reference), np.count_nonzero(mask | reference)
            own = signs[place["slice"]] if name == WHOLE else ""
            rows.append((name, place["slice"], both / either, both, either, own))
    return pd.DataFrame(rows, columns=["method", "slice", "iou", "both_px", "any_px", "signs"])


def _signs_of_whole(whole: Stack) -> list[str]:
    """Name what the whole-head method warns of, slice by slice, joined by ;."""
    found = find_whole_head(whole.images, _steps(whole))
    areas = np.count_nonzero(found.masks, axis=(1, 2)).tolist()
    return _with_jumps(signs_of_volume(found), areas, [found.threshold] * len(whole), whole)


def _chosen_and_scored(
    methods: Mapping[str, Method], stacks: Iterable[Stack]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean IoU by head and setting, and scores with the setting that the other heads choose."""
    pairs = list(product(methods.items(), stacks))
    tried = [
        {"method": name, "head": place["head"], "setting": setting, "iou": metrics.iou(*pair)}
        for (name, method), stack in pairs
        for place, setting, pair in _made(method, stack, method[1])
    ]
    by_setting = pd.DataFrame(tried).groupby(["method", "head", "setting"], sort=False)
    curves = by_setting.iou.mean().reset_index()
    scores = []
    for (name, method), stack in pairs:
        chosen = chosen_on_others(curves, name).set_index("head").setting[_head(stack)]
        for place, setting, pair in _made(method, stack, (chosen,)):
            found = metrics.score(*pair, stack.spacing_mm)
            own = {one: found[one] for one in MEASURES}
            scores.append(place | {"method": name, "setting": setting} | own)
    return curves, pd.DataFrame(scores)


def _each(stack: Stack) -> Iterator[tuple[dict[str, Any], NDArray[Any], Mask]]:
    """Go over slices: where each is from, image, reference mask; stacks of one head share it."""
    assert stack.reference is not None
    slices = zip(stack.slice_numbers, stack.images, stack.reference, strict=True)
    for number, image, reference in slices:
        yield {"stack": stack.name, "head": _head(stack), "slice": number}, image, reference


def _made(
    method: Method, stack: Stack, settings: Sequence[float]
) -> Iterator[tuple[dict[str, Any], float, tuple[Mask, Mask]]]:
    """Go over the masks of slices and settings: where from, setting, mask and reference mask."""
    for (place, _, reference), masks in zip(_each(stack), method[0](stack, settings), strict=True):
        for setting, mask in zip(settings, masks, strict=True):
            yield place, setting, (mask, reference)


def _widths(stack: Stack) -> Iterator[dict[str, Any]]:
    for place, image, reference in _each(stack):
        masks = zip(WIDTHS, pipeline.masks_by_width(image, WIDTHS), strict=True)
        yield place | {str(width): metrics.iou(mask, reference) for width, mask in masks}


def _traced(stack: Stack) -> tuple[list[SkullMaskTrace], list[str]]:
    traces = [pipeline.trace_skull_mask(image) for image in stack.images]
    return traces, signs_of(traces, stack)


def _slices(stack: Stack) -> Iterator[dict[str, Any]]:
    traces, signs = _traced(stack)
    for (place, _, reference), trace, shown in zip(_each(stack), traces, signs, strict=True):
        yield place | {
            "threshold": trace.threshold,
            "n_edge_touching": trace.n_edge_touching,
            "chosen": what_was_chosen(trace, reference),
            "signs": shown,
        }


def _crops(stack: Stack, reach_mm: float) -> Iterator[dict[str, Any]]:
    spacing = stack.spacing_mm or (1.0, 1.0)
    settings = PipelineSettings(reach_mm=reach_mm).at(spacing)
    for i, (place, image, reference) in enumerate(_each(stack)):
        before = pipeline.trace_skull_mask(image).threshold
        for (sides, axes), depth in product(CUTS.items(), DEPTHS_MM):
            frame = cut_into_head(image, depth, spacing, axes)
            trace = pipeline.trace_skull_mask(image[frame], settings, spacing_mm=spacing)
            yield {
                **place,
                "sides": sides,
                "depth_mm": depth,
                "threshold_before": before,
                "threshold": trace.threshold,
                **edge_outcome(trace, reference[frame]),
                "chosen": what_was_chosen(trace, reference[frame]),
                "signs": signs_of([trace], stack.select([i]))[0],
            }


def _unscored(volume: Stack) -> Iterator[dict[str, Any]]:
    for region, numbers in UNSCORED.items():
        stack = volume.select(numbers)
        for number, shown in zip(numbers, _traced(stack)[1], strict=True):
            yield {"region": region, "slice": number, "signs": shown}


def _failures(volume: Stack) -> dict[str, Any]:
    """Components and mask of the slices that show a failure each, reduced."""
    found = {}
    for i, number in enumerate(FAILURES.values()):
        trace = pipeline.trace_skull_mask(volume.images[number])
        left, top, width, height = cv2.boundingRect(trace.mask | trace.binary)
        size = (round(width * PICTURE_PX / height), PICTURE_PX)
        for name, pixels in (("parts", trace.binary + trace.brain), ("mask", trace.mask)):
            box = pixels[top : top + height, left : left + width]
            found[f"{name}_{i}"] = cv2.resize(box, size, interpolation=cv2.INTER_NEAREST)
    return found


def _whole_pictures(volume: Stack) -> dict[str, Any]:
    """Bright voxels and whole-head masks of some slices, reduced to one size."""
    found = find_whole_head(volume.images, _steps(volume))
    size = volume.images.shape[2] // 2, volume.images.shape[1] // 2
    places = [volume.slice_numbers.index(number) for number in WHOLE_PICTURED]
    bright = (found.levels[places] > found.threshold).astype(np.uint8)
    return {
        f"whole_{name}": np.stack([cv2.resize(one, size, interpolation=0) for one in pixels])
        for name, pixels in (("bright", bright), ("masks", found.masks[places]))
    }


def _outlines(stack: Stack, scores: pd.DataFrame) -> dict[str, Any]:
    """Outlines of the masks of a stack's middle slice, (n, 2) points [x, y] in mm."""
    middle = stack.select([len(stack) // 2])
    assert middle.reference is not None
    drawn = {"reference": middle.reference[0]}
    chosen = scores[scores["head"] == _head(stack)].groupby("method", sort=False)["setting"].first()
    for name, setting in chosen.items():
        (masks,) = METHODS[str(name)][0](middle, (setting,))
        drawn[str(name)] = next(iter(masks))
    found = {}
    for name, mask in drawn.items():
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        line = cv2.approxPolyDP(max(contours, key=len), 0.7, True)[:, 0]
        in_mm = line * np.array(stack.spacing_mm)[::-1]
        found[f"{stack.name}/{name}"] = in_mm.round(1).astype(np.float32)
    return found


def record() -> None:
    """Measure everything on the open heads and store it."""
    stacks = [heads.load(name) for name in heads.HEADS]
    volume = read_stack(str(heads.fetch(PICTURED)[0]), axis="axial")
    found = measure(stacks) | {"unscored": pd.DataFrame(_unscored(volume))}
    drawn: dict[str, Any] = _failures(volume) | _whole_pictures(volume)
    for stack in stacks:
        drawn |= _outlines(stack, found["scores"])
    curves, scores = _chosen_and_scored(BORDERS, stacks)
    whole = _top_to_bottom(pd.concat([found["scores"], scores]))
    found |= {"border_curves": curves, "border_scores": scores, "top_to_bottom": whole}
    for name, one in found.items():
        one.round(6).to_csv(FOLDER / f"{name}.csv", index=False, lineterminator="\n")
    np.savez_compressed(FOLDER / "pictures.npz", **drawn)
    told = {"date": datetime.now(UTC).date().isoformat(), "versions": versions()}
    (FOLDER / "about.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def recheck() -> str:
    """Say in Markdown which heads are missing, or whether measured again all is as stored."""
    date, missing = about()["date"], [name for name in heads.HEADS if not heads.is_here(name)]
    if missing:
        told = f"**Not measured here.** {', '.join(missing)} missing, so the numbers are those of"
        return f"{told} {date}. `skullnb heads fetch --all` gets the heads; then they are checked."
    fresh = measure([heads.load(name) for name in heads.HEADS])
    different = []
    for name, new in fresh.items():
        try:  # six digits are stored
            pd.testing.assert_frame_equal(table(name), new, check_dtype=False, rtol=0, atol=2e-6)
        except AssertionError:
            different.append(name)
    if different:
        told = f"**Measured here again, and not the same:** {' and '.join(different)} differ from"
        return f"{told} the tables of {date}, which are shown, perhaps by the libraries' versions."
    n = sum(new.size for new in fresh.values())
    return f"**Measured here again:** all {n} values are as stored on {date}."


if __name__ == "__main__":
    record()
