"""A whole head: the brain found in 3D, and the border looked for in every slice.

The bright voxels, by Otsu's threshold, are opened by the smallest ball that frees the brain from
the scalp; the deepest component is the brain. From there the mask grows through the dark, as in
`skullnb.pipeline.border`, but in 3D: near the vertex the brain lies below a slice, not in it.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from skullnb import metrics
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.pipeline.border import MARGIN_MM, closed_brain, erode, grow_inside, head_of
from skullnb.pipeline.measure import SliceMeasure
from skullnb.pipeline.settings import REACH_MM, as_slice, as_stack
from skullnb.pipeline.signs import AREA_JUMP, HOLLOW, SENTENCES, SMALL, hull_of
from skullnb.pipeline.steps import Mask, binarise, fill_holes, label_components, otsu_threshold

LOWEST, HIGHEST = 0.1, 99.8  # percentiles that become 0 and 255, so that a hot voxel has no say
OPENINGS_MM = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)  # more would take away cortex
DEEPEST_MM, FARTHEST_MM = 8.0, 16.0  # under a surface, from air; what is more counts as that
COMPONENT_MM = 2.0  # voxels in which components are told apart, where they are smaller
# The brain is free where of its core, a ball inside its surface, hardly anything is nearer to the
# air than the ball and this. Of 60 volumes .003 of free brains at most, .015 and more of others.
SKIN_MM, MOST_NEAR_AIR = 4.0, 0.01
PART = 0.05  # of the brain's weight: a piece as heavy and as free belongs to it, as a hemisphere
# From the skin inwards the bright share of shells of 1 mm falls, as there is bone, and rises:
# it falls by .21 and more in whole heads, by .11 and less in brains and skulls that were stripped.
LEAST_FALL = 0.15
SHARE, LEAST_MM = 0.85, 2.0  # of the threshold: darker is grown through; whatever the brightness
BONE_MM, SCALP_MM = 5.0, 10.0  # bone and fluid at least, though marrow shines, so far from the skin

# Of bright brain in a whole head; a small one of 951 mL at 1 mm has 849 to 888 at 2 to 5 mm.
LEAST_ML, MOST_ML = 750.0, 1700.0
LEAST_CM2 = 8.0  # the spinal canal and its ring of bone have 2.5 to 7
JOINED, LOPSIDED, FRAMED, BRAIN_SIZE = "joined", "lopsided", "touches the frame", "brain size"
_SENTENCES = {
    BRAIN_SIZE: "what was taken for the brain has {brain_ml:.0f} mL of bright tissue, and whole "
    f"brains have {LEAST_ML:.0f} to {MOST_ML:.0f}, so look at the whole volume",
    JOINED: "{on_skin:.0%} of the outline runs along the skin, so brain and scalp may be joined, "
    "or the bone is not dark",
    LOPSIDED: "the mask and its mirror image overlap by {alike:.0%} only, and heads are nearly "
    "symmetric",
    HOLLOW: SENTENCES[HOLLOW],
    SMALL: "the mask covers {cm2:.2g} cm², as little as the tip of a head, or the spine in a neck",
    FRAMED: "the mask touches the frame, so a part of the head may be cut off",
}
VOLUME_SIGNS = (*_SENTENCES, AREA_JUMP)  # of a volume; the last is told by `neighbour_signs`
MOST_ON_SKIN, LEAST_ALIKE, LEAST_FILL = 0.25, 0.80, 0.90
NEAR_MARGIN_MM = MARGIN_MM + 1.5  # an outline so near the skin was stopped by the margin only

Voxels = NDArray[np.bool_]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class WholeHead:
    """What was found in a volume: levels 0..255, head, brain, mask before and after filling."""

    levels: Mask
    spacing_mm: Spacing
    threshold: int
    opening_mm: float
    heads: Voxels
    brain: Voxels
    grown: Mask
    masks: Mask


def skull_mask_of_volume(
    volume: ArrayLike, spacing_mm: Spacing, reach_mm: float = REACH_MM
) -> Mask:
    """Mark the outer surface of the skull and everything inside it, in a whole head or part of one.

    Parameters
    ----------
    volume : (N, H, W) array, real
        Axial slices, ascending from the feet, of any thickness; any intensities. Refused
        (InvalidImage) where it has no skull, or brain and scalp don't come apart.
    spacing_mm : (slice, row, column)
        In mm from voxel to voxel.
    reach_mm : float
        The farthest that the border may be from the brain, in mm.

    Returns
    -------
    (N, H, W) uint8 {0, 1}

    Examples
    --------
    >>> from skullnb import heads
    >>> head = heads.load("studyforrest")
    >>> masks = skull_mask_of_volume(head.images, head.grids[0].steps_mm)
    >>> masks.shape, int(masks[0].sum())
    ((16, 384, 274), 49503)
    """
    return find_whole_head(volume, spacing_mm, reach_mm).masks


def find_whole_head(volume: ArrayLike, spacing_mm: Spacing, reach_mm: float) -> WholeHead:
    """Do as `skull_mask_of_volume`, and keep what was found on the way."""
    voxels = np.ascontiguousarray(as_stack(volume))
    if len(voxels) == 1:
        raise InvalidImage("A whole head is a volume, and this is one slice; mask it by itself.")
    for number, image in enumerate(voxels):
        as_slice(image, number)
    if np.shape(spacing_mm) != (3,) or not all(0 < one < np.inf for one in (*spacing_mm, reach_mm)):
        told = "The spacing (slice, row, column) and the reach must be numbers of mm above zero"
        raise InvalidSetting(f"{told}, not {spacing_mm!r} and {reach_mm!r}.")
    spacing: Any = tuple(map(float, spacing_mm))
    low, high = np.percentile(voxels, (LOWEST, HIGHEST)).tolist()
    if not low < high:
        raise InvalidImage(f"The volume is flat: nearly all voxels are {low:g}; there is no head.")
    scale = 255 / (high - low)
    levels = np.stack([((one - low) * scale).clip(0, 255).astype(np.uint8) for one in voxels])
    threshold = otsu_threshold(levels.reshape(-1, levels.shape[2]))
    bright = levels > threshold
    heads = np.stack([_head_of(one, threshold, spacing[1:]) for one in levels])
    # All happens in the box of the head; the air around shows where it ends.
    (head,) = ndimage.find_objects(heads.view(np.uint8))
    box = tuple(slice(max(0, one.start - 8), one.stop + 8) for one in head)
    brain, grown = np.zeros_like(bright), np.zeros_like(levels)
    brain[box], opening = _find_brain(bright[box], heads[box], spacing)
    grown[box] = _grow(levels[box], threshold, brain[box], heads[box], spacing, reach_mm)
    masks = np.stack([fill_holes(one) for one in grown])
    return WholeHead(levels, spacing, threshold, opening, heads, brain, grown, masks)


def measure_volume(
    volume: ArrayLike, spacing_mm: Spacing, reach_mm: float = REACH_MM, axis: str = "axial"
) -> list[SliceMeasure]:
    """Do as `skull_mask_of_volume`, and say of every slice what a table needs to know."""
    found, measures = find_whole_head(volume, spacing_mm, reach_mm), []
    for i, signs in enumerate(signs_of_volume(found, axis)):
        components = label_components(binarise(found.levels[i], found.threshold))[1]
        counts = found.threshold, len(components), int(components["touches_edge"].sum())
        px = [int(np.count_nonzero(one[i])) for one in (found.brain, found.grown, found.masks)]
        reason = "" if found.masks[i].any() else "the brain does not come near this slice"
        told = (f"the mask is empty: {reason}",) if reason else tuple(signs.values())
        measures.append(SliceMeasure(found.masks[i], *counts, px[0], px[1], px[2], reason, told))
    return measures


def signs_of_volume(found: WholeHead, axis: str = "axial") -> list[dict[str, str]]:
    """Tell the signs that a mask went wrong for every slice that has one, a sentence by name."""
    pixel, told = found.spacing_mm[1:], list[dict[str, str]]()
    is_cut = found.brain[0].any() or found.brain[-1].any()
    brain_ml = np.count_nonzero(found.brain) * np.prod(found.spacing_mm) / 1000
    for mask, head in zip(found.masks, found.heads, strict=True):
        told.append({})
        if not mask.any():
            continue
        outline = mask > cv2.erode(mask, np.ones((3, 3), dtype=np.uint8))
        on_skin = (outline & ~erode(head, NEAR_MARGIN_MM, pixel)).sum() / max(outline.sum(), 1)
        columns = np.flatnonzero(mask) % mask.shape[1]
        mirrored = np.roll(mask[:, ::-1], round(2 * columns.mean()) + 1, axis=1)
        alike = metrics.iou(mask, mirrored)
        fill = np.count_nonzero(mask) / np.count_nonzero(hull_of(mask))
        cm2 = np.count_nonzero(mask) * pixel[0] * pixel[1] / 100
        shown = {
            BRAIN_SIZE: brain_ml > MOST_ML or (brain_ml < LEAST_ML and not is_cut),
            JOINED: on_skin > MOST_ON_SKIN,
            LOPSIDED: alike < LEAST_ALIKE and axis != "sagittal",
            HOLLOW: fill < LEAST_FILL,
            SMALL: cm2 < LEAST_CM2,
            FRAMED: mask[[0, -1]].any() or mask[:, [0, -1]].any(),
        }
        numbers = {"brain_ml": brain_ml, "on_skin": on_skin, "alike": alike, "mask_fill": fill}
        numbers["cm2"] = cm2
        told[-1] = {sign: _SENTENCES[sign].format(**numbers) for sign in shown if shown[sign]}
    return told


def _head_of(image: Mask, threshold: int, pixel: tuple[float, float]) -> Voxels:
    """Find the head as `head_of` does; where the frame cuts it, the frame is its wall."""
    walled = image.copy()
    for line in (walled[0], walled[-1], walled[:, 0], walled[:, -1]):
        bright = np.flatnonzero(line > threshold)
        if bright.size:
            line[bright[0] : bright[-1] + 1] = 255
    return head_of(walled, threshold, pixel)


def _find_brain(bright: Voxels, heads: Voxels, spacing: Spacing) -> tuple[Voxels, float]:
    """Find the brain by the smallest opening (mm) that frees it from the skin."""
    steps = [max(1, int(COMPONENT_MM / size + 1e-6)) for size in spacing]
    some = tuple(slice(step // 2, None, step) for step in steps)
    coarse_mm: Any = np.multiply(spacing, steps)
    air, unit = _squared_distances(heads[some], coarse_mm, FARTHEST_MM)
    away_mm = np.sqrt(air / unit).astype(np.intp).ravel()
    n_bright = np.bincount(away_mm, bright[some].ravel(), int(FARTHEST_MM) + 1)
    shares = (n_bright / np.maximum(np.bincount(away_mm), 1))[2 : int(FARTHEST_MM)]
    if (np.maximum.accumulate(shares) - shares).max() < LEAST_FALL:
        told = "There is no skull here: no dark bone lies under the surface, as if the brain had"
        raise InvalidImage(f"{told} been extracted; give the scan as it came from the scanner.")
    depth, scale = _squared_distances(bright, spacing, DEEPEST_MM)
    coarse = depth[some]
    for opening in OPENINGS_MM:
        least = opening**2 * scale
        labels, n_components = ndimage.label(coarse > least, np.ones((3, 3, 3)))
        if not n_components:
            break
        weights = np.bincount(labels.ravel(), coarse.ravel())
        weights[0] = 0
        near_air = air <= (opening + SKIN_MM) ** 2 * unit
        heavy = np.flatnonzero(weights > PART * weights.max())
        free = [one for one in heavy if near_air[labels == one].mean() <= MOST_NEAR_AIR]
        if weights.argmax() in free:
            core = np.isin(labels, free)
            sizes = zip(bright.shape, steps, core.shape, strict=True)
            fine = np.ix_(*(np.minimum(np.arange(n) // step, m - 1) for n, step, m in sizes))
            core = ndimage.binary_dilation(core, np.ones((3, 3, 3)))[fine]
            away, scale = _squared_distances(~core | (depth <= least), spacing, opening + 1)
            return bright & (away <= opening**2 * scale), opening
    told = f"Brain and scalp don't come apart, even when {opening:g} mm are taken off both"
    raise InvalidImage(f"{told}; mask this volume slice by slice.")


def _grow(
    levels: Mask, threshold: int, brain: Voxels, heads: Voxels, spacing: Spacing, reach_mm: float
) -> Mask:
    """Look for the border in every slice, from a brain of which distances are 3D."""
    pixel, grown = spacing[1:], np.empty_like(levels)
    closed = np.stack([closed_brain(one, pixel) for one in brain])
    away, scale = _squared_distances(~closed, spacing, reach_mm + 1)
    for i, (squared, head) in enumerate(zip(away, heads, strict=True)):
        bone = (squared <= BONE_MM**2 * scale) & erode(head, SCALP_MM, pixel)
        far = squared <= reach_mm**2 * scale
        near = far & (bone | (squared <= LEAST_MM**2 * scale))
        grown[i] = grow_inside(head, near, far, levels[i] < SHARE * threshold, pixel)
    return grown


def _squared_distances(voxels: Voxels, spacing: Spacing, most_mm: float) -> tuple[Any, int]:
    """Squared distances to the nearest voxel not set, up to the most, in mm² / scale; the scale."""
    scale = 2 ** int(np.log2(32767 / most_mm**2))  # a sum of two stays below 65536
    squared = voxels * np.uint16(most_mm**2 * scale)
    for axis, other in ((2, 0), (1, 0), (0, 1)):  # planes are small enough for the cache
        for plane in np.moveaxis(squared, (other, axis), (0, 1)):
            before = plane.copy()
            farther, most = np.empty_like(before), before.max()
            for step in range(1, len(plane)):
                more = round((step * spacing[axis]) ** 2 * scale)
                if more >= most:
                    break
                np.add(before, np.uint16(more), out=farther)
                np.minimum(plane[step:], farther[:-step], out=plane[step:])
                np.minimum(plane[:-step], farther[step:], out=plane[:-step])
    return squared, scale
