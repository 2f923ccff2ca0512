"""The pipeline on the open heads, of which none took part in making it (chapter 12).

The tables were measured once and are stored with the package: `table` reads them, and `recheck`
compares. `book/measure_heads.py` in the sources measures them anew.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skullnb import evidence, heads, metrics, pipeline
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace
from skullnb.pipeline.settings import DILATION
from skullnb.pipeline.signs import SIGNS, neighbour_signs, warnings_of
from skullnb.stack import Stack
from skullnb.study.validation import leave_one_volume_out

FOLDER = Path(__file__).parents[1] / "data" / "real_heads"
MEASURES = ["iou", "dice", "assd", "hd95", "nsd"]
POOR_IOU = 0.9
WIDTHS = tuple(range(8, 51, 2))  # px, of *widths*
CUTS = {"left and right": (1,), "all sides": (0, 1)}  # along columns, and along rows too
DEPTHS_MM = (2.0, 5.0)
# Named failures, and the axial slice of mne-ecog that shows each.
FAILURES = {"merged with scalp": 124, "bright fat": 112, "hemispheres apart": 158}
FAILURES["scalp ring"] = 164
WHOLE_PICTURED = (45, 57, 66, 81, 100, 120, 140, 160, 175, 190)

# A way to the masks of a stack, and settings of which it is given the best on other heads.
Method = tuple[Callable[[Stack, float], Mask], Sequence[float]]


def _with_kernel(stack: Stack, width: float) -> Mask:
    return pipeline.create_skull_masks(stack.images, PipelineSettings(int(width)))


def with_reach(stack: Stack, reach_mm: float, border: str = DILATION) -> Mask:
    """Masks of a stack, by a reach or by dark growth."""
    settings = PipelineSettings(reach_mm=reach_mm, border=border)
    return pipeline.create_skull_masks(stack.images, settings, stack.spacing_mm)


def steps_of(stack: Stack) -> tuple[float, float, float]:
    """Spacing in mm of (slice, row, column); slices 0 apart where that is unknown."""
    return stack.grids[0].steps_mm if stack.grids and stack.grids[0] else (0.0, 1.0, 1.0)


ARTICLE_PX, ARTICLE_MM = "article, 26 px", "article, reach in mm"
NEAR_MM = np.arange(4.0, 12.01, 0.5).tolist()
METHODS: dict[str, Method] = {ARTICLE_PX: (_with_kernel, [26]), ARTICLE_MM: (with_reach, NEAR_MM)}


def about(name: str = "about") -> Any:
    """Tell `date` and `versions` of the stored tables; of "tools", the `machine` too."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def table(name: str) -> pd.DataFrame:
    """Read a stored table by its name.

    - *slices*: a row a slice: what was chosen, and the signs of its trace, joined by ;
    - *scores*: a row a slice and method: the setting that other heads chose, and scores (mm)
    - *curves*: a row a method, head and setting: mean IoU over the head's slices
    - *border_scores*, *border_curves*: the same two of ways that look for the border
    - *top_to_bottom*: a row a method and labelled slice of the whole head of colin27
    - *widths*: a row a slice, and its IoU at each width (px) of the article's kernel
    - *crops*: a row a slice, sides and depth of a cut: what the edge rule did
    - *rules*: a row a rule of the pipeline, as `skullnb.evidence.summarise` gives it
    - *unscored*: signs on slices of one head that have no reference mask
    - *tools*: a row a tool, head and way, as `book/measure_tools.py` measures it
    """
    return pd.read_csv(FOLDER / f"{name}.csv", dtype={"signs": str}).fillna({"signs": ""})


def pictures() -> dict[str, NDArray[Any]]:
    """Read what can be shown of heads whose grey values cannot: masks, and outlines in mm [x, y].

    Masks are at half the size: `failed_parts` (1 other bright component, 2 chosen) and
    `failed_masks` of `FAILURES`, `whole_bright` and `whole_masks` of `WHOLE_PICTURED`.
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
        frame[axis] = slice(int(first.min()) + depth, int((first + size).max()) - depth)
    return tuple(frame)


def edge_outcome(trace: SkullMaskTrace, reference: Mask) -> dict[str, Any]:
    """Say what dropping components that touch the frame did: n_edge_touching, IoUs, outcome."""
    without = evidence.switch_off(trace, "drop edge-touching")
    on, off = (metrics.iou(mask, reference) for mask in (trace.mask, without))
    n, changed = trace.n_edge_touching, int(np.count_nonzero(without != trace.mask))
    outcome = evidence.effect(n, changed, on, off).replace("destroys", "loses the brain")
    return {"n_edge_touching": n, "iou": on, "iou_off": off, "outcome": outcome}


def chosen_on_others(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    """Choose a setting for each head by the mean IoU of all *others*: head, setting, own iou."""
    wide = curves[curves.method == method].pivot(index="head", columns="setting", values="iou")
    wide = wide.reindex(curves["head"].unique()).rename_axis("volume")
    folds = leave_one_volume_out(wide).folds
    return folds.set_axis(["head", "setting", "iou"], axis=1)


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
    signs: "pd.Series[str]", failed: "pd.Series[bool]", names: Sequence[str] = SIGNS
) -> pd.DataFrame:
    """Count hits and false alarms of every sign, and of any; signs are names joined by ;.

    A row a sign: sign, n_hits of n_failures, n_false of n_others.
    """
    shown = signs.str.get_dummies(";").reindex(columns=[*names], fill_value=0) > 0
    shown["any of these"] = signs != ""
    hits, false = shown[failed].sum(), shown[~failed].sum()
    found = {"n_hits": hits, "n_failures": failed.sum(), "n_false": false}
    found["n_others"] = (~failed).sum()
    return pd.DataFrame(found).rename_axis("sign").reset_index()


def measure(given: Sequence[Stack]) -> dict[str, pd.DataFrame]:
    """Make all tables that `recheck` compares from stacks with reference masks, by name."""
    curves, scores = chosen_and_scored(METHODS, given)
    rules = evidence.summarise(evidence.combine(map(evidence.build_ledger, given)))
    names = ["rule", "status", "evidence", "n_slices", "n_fired", "n_changed", "iou", "iou_off"]
    reaches = chosen_on_others(curves, ARTICLE_MM).set_index("head").setting
    return {
        "curves": curves,
        "widths": pd.concat(map(_widths, given), ignore_index=True),
        "scores": scores,
        "slices": pd.concat(map(slices_of, given), ignore_index=True),
        "crops": pd.DataFrame(row for stack in given for row in _crops(stack, reaches)),
        "rules": rules[names],
    }


def reference_of(stack: Stack) -> Mask:
    """Reference masks of a stack that has them."""
    assert stack.reference is not None
    return stack.reference


def _places(stack: Stack) -> pd.DataFrame:
    """Say of every slice where it is from; stacks of one head share it."""
    return pd.DataFrame({"stack": stack.name, "head": stack.groups, "slice": stack.slice_numbers})


def chosen_and_scored(
    methods: Mapping[str, Method], stacks: Sequence[Stack]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean IoU by head and setting, and scores with the setting that the other heads choose."""
    tried, scores = [], []
    for (name, (make, settings)), stack in product(methods.items(), stacks):
        for setting in settings:
            ious = [*map(metrics.iou, make(stack, setting), reference_of(stack))]
            tried.append(_places(stack).assign(method=name, setting=setting, iou=ious))
    by_setting = pd.concat(tried).groupby(["method", "head", "setting"], sort=False)
    curves = by_setting.iou.mean().reset_index()
    for (name, (make, _)), stack in product(methods.items(), stacks):
        places = _places(stack)
        setting = chosen_on_others(curves, name).set_index("head").setting[places["head"][0]]
        own = metrics.score_slices(make(stack, setting), reference_of(stack), stack.spacing_mm)
        scores.append(places.assign(method=name, setting=setting, **own[MEASURES]))
    return curves, pd.concat(scores, ignore_index=True)


def _widths(stack: Stack) -> pd.DataFrame:
    truth = reference_of(stack)
    found = {str(w): [*map(metrics.iou, _with_kernel(stack, w), truth)] for w in WIDTHS}
    return _places(stack).assign(**found)


def slices_of(stack: Stack) -> pd.DataFrame:
    """Trace every slice: signs, and where there is a reference mask, what was chosen."""
    traces = [pipeline.trace_skull_mask(image) for image in stack.images]
    levels, areas = [one.threshold for one in traces], [one.facts.mask_px for one in traces]
    touching = [one.n_edge_touching for one in traces]
    told = _places(stack).assign(threshold=levels, n_edge_touching=touching)
    if stack.reference is not None:
        told["chosen"] = [*map(what_was_chosen, traces, reference_of(stack))]
    own = [warnings_of(one.facts, one.settings, stack.spacing_mm, one.reason) for one in traces]
    return told.assign(signs=with_jumps(own, areas, levels, stack))


def with_jumps(
    own: Sequence[Mapping[str, str]], areas: Sequence[int], levels: Sequence[int], stack: Stack
) -> list[str]:
    """Join the names of signs, those beside neighbours too, of the slices of one volume by ;."""
    n, steps, warned = len(own), [steps_of(stack)[0]] * len(own), [bool(one) for one in own]
    jumps = neighbour_signs(areas, levels, ["head"] * n, stack.slice_numbers, steps, warned)
    return [";".join({**mine, **jump}) for mine, jump in zip(own, jumps, strict=True)]


def _crops(stack: Stack, reaches: "pd.Series[float]") -> Iterator[dict[str, Any]]:
    spacing = stack.spacing_mm or (1.0, 1.0)
    places: Any = _places(stack).to_dict("records")
    for place, image, reference in zip(places, stack.images, reference_of(stack), strict=True):
        settings = PipelineSettings(reach_mm=reaches[place["head"]]).at(spacing)
        before = pipeline.trace_skull_mask(image).threshold
        for (sides, axes), depth in product(CUTS.items(), DEPTHS_MM):
            frame = cut_into_head(image, depth, spacing, axes)
            trace = pipeline.trace_skull_mask(image[frame], settings, spacing_mm=spacing)
            told = warnings_of(trace.facts, settings, stack.spacing_mm, trace.reason)
            yield {
                **place,
                "sides": sides,
                "depth_mm": depth,
                "threshold_before": before,
                "threshold": trace.threshold,
                **edge_outcome(trace, reference[frame]),
                "chosen": what_was_chosen(trace, reference[frame]),
                "signs": ";".join(told),
            }


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
