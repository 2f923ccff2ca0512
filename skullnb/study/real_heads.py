"""The pipeline on the open heads, of which none took part in making it (chapter 12).

The tables were measured once and are stored with the package: `table` reads them, `about` says when
and with which versions, `python -m skullnb.study.real_heads` measures them anew and `recheck`
compares. A further way to masks is one more entry of `METHODS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb import evidence, heads, metrics
from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.pipeline import (
    Mask,
    PipelineSettings,
    SkullMaskTrace,
    dilate,
    fill_holes,
    masks_by_width,
    measure_slice,
    trace_skull_mask,
)
from skullnb.pipeline.signs import SIGNS, neighbour_signs, warnings_of
from skullnb.reach import kernel_width_for
from skullnb.stack import Stack, read_stack
from skullnb.study.timing import versions
from skullnb.volume import find_whole_head, signs_of_volume, skull_mask_of_volume

if TYPE_CHECKING:
    from pandas import DataFrame, Series

FOLDER = Path(__file__).parents[1] / "data" / "real_heads"
MEASURES = ("iou", "dice", "assd", "hd95", "nsd")
POOR_IOU = 0.9
WIDTHS = tuple(range(8, 51, 2))  # px, of *widths*

CUTS = {"left and right": (1,), "all sides": (0, 1)}  # along columns, and along rows too
DEPTHS_MM = (2.0, 5.0)

LABELLED, PICTURED = "colin27", "mne-ecog"
FAILURES = {
    "merged with scalp": 124,
    "bright fat": 112,
    "hemispheres apart": 158,
    "scalp ring": 164,
}
"""Named failures, and the axial slice of the pictured head that shows each."""
WHOLE_PICTURED = (45, 57, 66, 81, 100, 120, 140, 160, 175, 190)
UNSCORED = {"at the eyes": range(104, 127), "near the vertex": range(152, 175)}
PICTURE_PX = 128  # high


class Method(NamedTuple):
    """A way to masks, and settings of which it is given the one that does best on other heads."""

    masks: Callable[[Stack, Sequence[Any]], Iterator[Iterable[Mask]]]
    """Yields, slice by slice, a mask for each setting."""
    settings: tuple[float, ...]


def _article_px(stack: Stack, widths: Sequence[Any]) -> Iterator[Iterable[Mask]]:
    return (masks_by_width(image, map(int, widths)) for image in stack.images)


def _article_mm(stack: Stack, reaches: Sequence[Any]) -> Iterator[Iterable[Mask]]:
    return _article_px(stack, [kernel_width_for(one, stack.spacing_mm or 1.0) for one in reaches])


ARTICLE_PX, ARTICLE_MM = "article, 26 px", "article, reach in mm"
METHODS = {
    ARTICLE_PX: Method(_article_px, (26,)),
    ARTICLE_MM: Method(_article_mm, tuple(np.arange(4.0, 12.01, 0.5).tolist())),
}
"""By name. The settings are kernel widths in px, reaches in mm."""


def _dark_growth(stack: Stack, reaches: Sequence[Any]) -> Iterator[Iterable[Mask]]:
    settings = [PipelineSettings(border="dark growth", reach_mm=one) for one in reaches]
    for image in stack.images:
        yield (measure_slice(image, one, stack.spacing_mm).mask for one in settings)


def _whole_head(stack: Stack, reaches: Sequence[Any]) -> Iterator[Iterable[Mask]]:
    """Masks of some slices, found in the whole volume that they are from."""
    whole = heads.load_whole(stack.name)
    places = [whole.slice_numbers.index(number) for number in stack.slice_numbers]
    steps_mm = whole.grids[0].steps_mm  # type: ignore[union-attr]
    found = [skull_mask_of_volume(whole.images, steps_mm, one)[places] for one in reaches]
    return zip(*found, strict=True)


def _finder_alone(stack: Stack, reaches: Sequence[Any]) -> Iterator[Iterable[Mask]]:
    """Grow brains that were found in the whole volume by the article's dilation."""
    whole = heads.load_whole(stack.name)
    brain = find_whole_head(whole.images, whole.grids[0].steps_mm).brain  # type: ignore[union-attr]
    widths = [kernel_width_for(one, stack.spacing_mm or 1.0) for one in reaches]
    for number in stack.slice_numbers:
        one = brain[whole.slice_numbers.index(number)].astype(np.uint8)
        yield (fill_holes(dilate(one, width)) for width in widths)


WHOLE = "whole head"
MOST_MM = tuple(np.arange(8.0, 24.01, 2.0).tolist())
BORDERS = {
    "dark growth": Method(_dark_growth, MOST_MM),
    WHOLE: Method(_whole_head, MOST_MM),
    "whole head, dilated": Method(_finder_alone, METHODS[ARTICLE_MM].settings),
}
"""Ways to masks that look for the border (chapter 11), and for the brain; `measure_borders`."""


def about() -> dict[str, Any]:
    """Tell the `date` and `versions` of the stored tables."""
    return dict(json.loads(_stored("about.json").read_text(encoding="utf-8")))


def table(name: str) -> DataFrame:
    """Read a stored table.

    Parameters
    ----------
    name : str
        - *slices*: a row a slice: what was chosen, and the signs of its trace, joined by ;
        - *scores*: a row a slice and method: the setting that other heads chose, and scores (mm)
        - *curves*: a row a method, head and setting: mean IoU over the head's slices
        - *border_scores*, *border_curves*: the same two of `BORDERS`
        - *top_to_bottom*: a row a method and slice of colin27, whose labels cover the whole head:
          IoU, pixels in both masks and in any, and signs of the whole-head method
        - *widths*: a row a slice, and its IoU at each width (px) of the article's kernel
        - *crops*: a row a slice, sides and depth of a cut: what the edge rule did
        - *rules*: a row a rule of the pipeline, as `skullnb.evidence.summarise` gives it
        - *unscored*: signs on slices of one head that have no reference mask

    Raises
    ------
    UnreadableFile
        If there is no such file.

    Examples
    --------
    >>> len(table("slices")), table("scores").groupby("method").size().tolist()[:2]
    (130, [130, 130])
    """
    import pandas as pd

    return pd.read_csv(_stored(f"{name}.csv"), dtype={"signs": str}).fillna({"signs": ""})


def pictures() -> dict[str, NDArray[Any]]:
    """Read what can be shown of heads whose grey values cannot.

    `whole_bright` and `whole_masks`, (n, h, w) uint8, are of the slices `WHOLE_PICTURED`. For
    failure number i of `FAILURES`, `parts_i` (1 other bright component, 2 chosen) and `mask_i`,
    (h, w) uint8. For the middle slice of each stack, `colin27/reference` and one outline by name of
    each method, (n, 2) points [x, y] in mm.
    """
    with np.load(_stored("pictures.npz"), allow_pickle=False) as file:
        return dict(file)


def _stored(name: str) -> Path:
    if not (FOLDER / name).is_file():
        raise UnreadableFile(
            f"The stored {name!r} of the real heads is gone: install skullnb again."
        )
    return FOLDER / name


def what_was_chosen(trace: SkullMaskTrace, reference: Mask) -> str:
    """Name what was taken for the brain: "scalp ring", "merged", "lost", "one part" or "brain".

    By how much of the component lies outside the reference mask (half; a twentieth), and how little
    of what is bright inside the mask it holds (a tenth; 70%).
    """
    inside, brain = reference > 0, trace.brain > 0
    if not brain.any():
        return "lost"
    outside = np.count_nonzero(brain & ~inside) / np.count_nonzero(brain)
    if outside > 0.05:
        return "scalp ring" if outside > 0.5 else "merged"
    # Whatever of the component lies inside is bright, so there is something to divide by.
    held = np.count_nonzero(brain & inside) / np.count_nonzero((trace.binary > 0) & inside)
    return "lost" if held < 0.1 else "one part" if held < 0.7 else "brain"


def cut_into_head(
    image: NDArray[Any], depth_mm: float, spacing_mm: tuple[float, float], axes: Sequence[int]
) -> tuple[slice, ...]:
    """Rows and columns of a frame that cuts so many mm off both ends of the bright tissue."""
    found = trace_skull_mask(image).components
    found = found[found["area"] >= 0.01 * found["area"].sum()]  # specks of noise are no head
    frame = [slice(0, side) for side in image.shape]
    for axis in axes:
        first, size = found[("top", "left")[axis]], found[("height", "width")[axis]]
        depth = round(depth_mm / spacing_mm[axis])
        start = int(first.min(initial=image.shape[axis])) + depth
        stop = int((first + size).max(initial=0)) - depth
        if stop <= start:
            raise InvalidSetting(f"Cutting {depth_mm:g} mm off the head leaves nothing; cut less.")
        frame[axis] = slice(start, stop)
    return tuple(frame)


def edge_outcome(trace: SkullMaskTrace, reference: Mask) -> dict[str, Any]:
    """Say what dropping components that touch the frame did: n_edge_touching, IoUs, outcome.

    It *loses the brain* when the IoU is less than half of what it is without (`iou_off`).
    """
    without = evidence.switch_off(trace, "drop edge-touching")
    on, off = metrics.iou(trace.mask, reference), metrics.iou(without, reference)
    if not trace.n_edge_touching:
        outcome = "did not fire"
    elif np.array_equal(without, trace.mask):
        outcome = "changes nothing"
    elif abs(on - off) <= evidence.NOTABLE_IOU:
        outcome = "hardly matters"
    elif on > off:
        outcome = "helps"
    else:
        outcome = "loses the brain" if on < off / 2 else "hurts"
    scores = {"iou": on, "iou_off": off, "outcome": outcome}
    return {"n_edge_touching": trace.n_edge_touching} | scores


def signs_of(traces: Sequence[SkullMaskTrace], stack: Stack) -> list[str]:
    """Names of the signs of failure on the traced slices of one volume, joined by ;."""
    spacing, grid = stack.spacing_mm, stack.grids[0] if stack.grids else None
    found = [warnings_of(one.facts, one.settings, spacing, one.reason) for one in traces]
    jumps = neighbour_signs(
        [one.facts.mask_px for one in traces],
        [one.threshold for one in traces],
        ["head"] * len(found),
        stack.slice_numbers,
        [grid.steps_mm[0] if grid else 0.0] * len(found),
        [bool(one) for one in found],
    )
    return [";".join(one | jump) for one, jump in zip(found, jumps, strict=True)]


def chosen_on_others(curves: DataFrame, method: str) -> DataFrame:
    """Choose a method's setting for each head by the mean IoU of all the *other* heads.

    `curves` is as from ``table("curves")``. Gives a row a head: head, setting, and its own iou.

    Examples
    --------
    >>> chosen_on_others(table("curves"), "article, reach in mm").setting.tolist()
    [7.5, 7.0, 8.0, 7.5]
    """
    import pandas as pd

    wide = curves[curves.method == method].pivot(index="head", columns="setting", values="iou")
    rows = []
    for head in dict.fromkeys(curves["head"]):
        setting = wide.drop(index=head).mean().idxmax()
        rows.append((head, setting, wide.loc[head, setting]))
    return pd.DataFrame(rows, columns=["head", "setting", "iou"])


def summary(scores: DataFrame) -> DataFrame:
    """Sum up every method by head, and as the mean over heads, in which each counts once.

    By method and head (the last is "mean"): means of the scores, `worst` IoU of a slice, and
    `n_poor`, how many slices have an IoU below `POOR_IOU`.
    """
    import pandas as pd

    poor = scores.assign(n_poor=scores.iou < POOR_IOU, worst=scores.iou)
    by_head = poor.groupby(["method", "head"], sort=False)
    found = by_head.agg({**dict.fromkeys(MEASURES, "mean"), "worst": "min", "n_poor": "sum"})
    mean = found.groupby("method", sort=False).mean()
    mean = mean.assign(head="mean").set_index("head", append=True)
    return pd.concat([found, mean]).loc[scores.method.unique()]


def sign_rates(signs: Series[str], failed: Series[bool], names: Sequence[str] = SIGNS) -> DataFrame:
    """Count hits and false alarms of every sign, and of any, on the same slices.

    Signs are names joined by ;. A row a sign: sign, n_hits of n_failures, n_false of n_others.
    """
    import pandas as pd

    shown = {sign: signs.str.split(";").map(lambda one, sign=sign: sign in one) for sign in names}
    shown["any of these"] = signs != ""
    rows = [
        (sign, (there & failed).sum(), failed.sum(), (there & ~failed).sum(), (~failed).sum())
        for sign, there in shown.items()
    ]
    return pd.DataFrame(rows, columns=["sign", "n_hits", "n_failures", "n_false", "n_others"])


def measure(stacks: Mapping[str, Stack]) -> dict[str, DataFrame]:
    """Make all tables but *unscored* from stacks with references, by name."""
    import pandas as pd

    given = stacks.values()
    curves, scores, settings = _chosen_and_scored(METHODS, given)
    rules = evidence.summarise(evidence.combine(map(evidence.build_ledger, given)))
    reaches = settings[ARTICLE_MM]
    return {
        "curves": curves,
        "widths": pd.DataFrame(row for stack in given for row in _widths(stack)),
        "scores": scores,
        "slices": pd.DataFrame(row for stack in given for row in _slices(stack)),
        "crops": pd.DataFrame(row for one in given for row in _crops(one, reaches[_head(one)])),
        "rules": rules[
            ["rule", "status", "evidence", "n_slices", "n_fired", "n_changed", "iou", "iou_off"]
        ],
    }


def measure_borders(stacks: Mapping[str, Stack], scores: DataFrame) -> dict[str, DataFrame]:
    """Make the tables of `BORDERS` from open heads by name, and their `scores` by `METHODS`."""
    import pandas as pd

    curves, own, _ = _chosen_and_scored(BORDERS, stacks.values())
    whole = _top_to_bottom(pd.concat([scores, own]))
    return {"border_curves": curves, "border_scores": own, "top_to_bottom": whole}


def _top_to_bottom(scores: DataFrame) -> DataFrame:
    """Score every labelled slice of a whole head, at what the other heads chose."""
    import pandas as pd

    whole = heads.load_whole(LABELLED)
    assert whole.reference is not None
    labelled = whole.select(np.flatnonzero(whole.reference.any(axis=(1, 2))).tolist())
    chosen = scores[scores["head"] == _head(whole)].groupby("method")["setting"].first()
    signs = dict(zip(whole.slice_numbers, _signs_of_whole(whole), strict=True))
    rows = []
    for method, of in (METHODS | BORDERS).items():
        for place, _, mask, reference in _made(of, labelled, (float(chosen[method]),)):
            both, either = np.count_nonzero(mask & reference), np.count_nonzero(mask | reference)
            own: dict[str, Any] = {"iou": both / either, "both_px": both, "any_px": either}
            own["signs"] = signs[place["slice"]] if method == WHOLE else ""
            rows.append({"method": method, "slice": place["slice"], **own})
    return pd.DataFrame(rows)


def _signs_of_whole(whole: Stack) -> Iterator[str]:
    """Name what the whole-head method warns of, slice by slice, joined by ;."""
    steps_mm = whole.grids[0].steps_mm  # type: ignore[union-attr]
    found = find_whole_head(whole.images, steps_mm)
    own, n = signs_of_volume(found), len(whole)
    areas, levels = np.count_nonzero(found.masks, axis=(1, 2)).tolist(), [found.threshold] * n
    near = [steps_mm[0]] * n
    jumps = neighbour_signs(
        areas, levels, ["head"] * n, whole.slice_numbers, near, list(map(bool, own))
    )
    for mine, beside in zip(own, jumps, strict=True):
        yield ";".join(mine | beside)


def _chosen_and_scored(
    methods: Mapping[str, Method], stacks: Iterable[Stack]
) -> tuple[DataFrame, DataFrame, Any]:
    """Try all settings; score with those that other heads choose, which are given as well."""
    import pandas as pd

    pairs = list(product(methods.items(), stacks))
    tried = [
        place | {"method": name, "setting": setting, "iou": metrics.iou(mask, reference)}
        for (name, method), stack in pairs
        for place, setting, mask, reference in _made(method, stack, method.settings)
    ]
    by_setting = pd.DataFrame(tried).groupby(["method", "head", "setting"], sort=False)
    curves = by_setting.iou.mean().reset_index()
    settings: Any = {
        name: chosen_on_others(curves, name).set_index("head").setting for name in methods
    }
    scores = []
    for (name, method), stack in pairs:
        chosen = (settings[name][_head(stack)],)
        for place, setting, mask, reference in _made(method, stack, chosen):
            found = metrics.score(mask, reference, stack.spacing_mm)
            own = {one: found[one] for one in MEASURES}
            scores.append(place | {"method": name, "setting": setting} | own)
    return curves, pd.DataFrame(scores), settings


def _head(stack: Stack) -> str:
    return (stack.groups or ("",))[0]


def _each(stack: Stack) -> Iterator[tuple[dict[str, Any], NDArray[Any], Mask]]:
    """Go over slices: where each is from, image, reference mask; stacks of one head share it."""
    assert stack.reference is not None
    for number, image, reference in zip(
        stack.slice_numbers, stack.images, stack.reference, strict=True
    ):
        yield {"stack": stack.name, "head": _head(stack), "slice": number}, image, reference


def _made(
    method: Method, stack: Stack, settings: Sequence[float]
) -> Iterator[tuple[dict[str, Any], float, Mask, Mask]]:
    """Go over the masks of slices and settings: where from, setting, mask, reference mask."""
    made = method.masks(stack, settings)
    for (place, _, reference), masks in zip(_each(stack), made, strict=True):
        for setting, mask in zip(settings, masks, strict=True):
            yield place, setting, mask, reference


def _widths(stack: Stack) -> Iterator[dict[str, Any]]:
    for place, image, reference in _each(stack):
        masks = zip(WIDTHS, masks_by_width(image, WIDTHS), strict=True)
        yield place | {str(width): metrics.iou(mask, reference) for width, mask in masks}


def _slices(stack: Stack) -> Iterator[dict[str, Any]]:
    traces = [trace_skull_mask(image, spacing_mm=stack.spacing_mm) for image in stack.images]
    signs = signs_of(traces, stack)
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
        before = trace_skull_mask(image).threshold
        for (sides, axes), depth in product(CUTS.items(), DEPTHS_MM):
            frame = cut_into_head(image, depth, spacing, axes)
            trace = trace_skull_mask(image[frame], settings, spacing_mm=spacing)
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
        signs = signs_of([trace_skull_mask(image) for image in stack.images], stack)
        for number, shown in zip(numbers, signs, strict=True):
            yield {"region": region, "slice": number, "signs": shown}


def _failures(volume: Stack) -> dict[str, Any]:
    """Components and mask of the slices that show a failure each, reduced."""
    found = {}
    for i, number in enumerate(FAILURES.values()):
        trace = trace_skull_mask(volume.images[number])
        left, top, width, height = cv2.boundingRect(trace.mask | trace.binary)
        size = (round(width * PICTURE_PX / height), PICTURE_PX)
        for name, pixels in (("parts", trace.binary + trace.brain), ("mask", trace.mask)):
            box = pixels[top : top + height, left : left + width]
            found[f"{name}_{i}"] = cv2.resize(box, size, interpolation=cv2.INTER_NEAREST)
    return found


def _whole_pictures(volume: Stack) -> dict[str, Any]:
    """Bright voxels and whole-head masks of some slices, reduced to one size."""
    found = find_whole_head(volume.images, volume.grids[0].steps_mm)  # type: ignore[union-attr]
    size = volume.images.shape[2] // 2, volume.images.shape[1] // 2
    places = [volume.slice_numbers.index(number) for number in WHOLE_PICTURED]
    bright = (found.levels[places] > found.threshold).astype(np.uint8)
    return {
        f"whole_{name}": np.stack([cv2.resize(one, size, interpolation=0) for one in pixels])
        for name, pixels in (("bright", bright), ("masks", found.masks[places]))
    }


def _outlines(stack: Stack, scores: DataFrame) -> dict[str, Any]:
    """Outlines of the masks of a stack's middle slice, (n, 2) points [x, y] in mm."""
    middle = stack.select([len(stack) // 2])
    assert middle.reference is not None
    drawn = {"reference": middle.reference[0]}
    for name, rows in scores[scores["head"] == _head(stack)].groupby("method", sort=False):
        (masks,) = METHODS[str(name)].masks(middle, (rows.setting.iloc[0],))
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
    import pandas as pd

    stacks = {name: heads.load(name) for name in heads.HEADS}
    volume = read_stack(str(heads.fetch(PICTURED)[0]), axis="axial")
    found = measure(stacks) | {"unscored": pd.DataFrame(_unscored(volume))}
    drawn: dict[str, Any] = _failures(volume) | _whole_pictures(volume)
    for stack in stacks.values():
        drawn |= _outlines(stack, found["scores"])
    found |= measure_borders(stacks, found["scores"])
    facts = {"date": datetime.now(UTC).date().isoformat(), "versions": versions()}
    for name, one in found.items():
        one.round(6).to_csv(FOLDER / f"{name}.csv", index=False, lineterminator="\n")
    np.savez_compressed(FOLDER / "pictures.npz", **drawn)
    (FOLDER / "about.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def recheck() -> str:
    """Say in Markdown which heads are missing, or whether measured again all is as stored."""
    from pandas.testing import assert_frame_equal

    date, missing = about()["date"], [name for name in heads.HEADS if not heads.is_here(name)]
    if missing:
        return (
            f"**Not measured here.** This machine lacks {', '.join(missing)}, so all numbers about "
            f"real heads below are the stored ones, measured on {date}. `skullnb heads fetch` "
            "downloads the heads; then this chapter checks the numbers."
        )
    fresh = measure({name: heads.load(name) for name in heads.HEADS})
    different = []
    for name, new in fresh.items():
        try:  # six digits are stored
            assert_frame_equal(table(name), new, check_dtype=False, rtol=0, atol=2e-6)
        except AssertionError:
            different.append(name)
    if different:
        return (
            f"**Measured here again, and not the same:** {' and '.join(different)} differ from the "
            f"tables of {date}, which are shown. Versions of the libraries may be the cause."
        )
    n = sum(new.size for new in fresh.values())
    return f"**Measured here again:** all {n} values are as stored on {date}."


if __name__ == "__main__":
    record()
