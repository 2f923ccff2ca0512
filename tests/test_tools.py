import sys

import cv2
import measure_tools as tools
import nibabel as nib
import numpy as np
import pytest

from skullnb import heads, metrics, read_stack
from skullnb.errors import UnreadableFile
from skullnb.study import real_heads

# A tool of our own, written as a script, in the place of one that marks brains.
BRIGHT = """#!/usr/bin/env python
import sys
import nibabel as nib
import numpy as np
scan = nib.load(sys.argv[1])
assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")
bright = np.uint8(np.asarray(scan.dataobj) > 5)
nib.save(nib.Nifti1Image(bright, scan.affine), sys.argv[2])
sys.exit(3 * (not bright.any()))
"""


def test_a_tool_sees_the_scan_upright_and_its_mask_comes_back_as_our_slices(tmp_path, monkeypatch):
    (tmp_path / "tool").write_text(BRIGHT.replace("/usr/bin/env python", sys.executable))
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.setitem(tools.TOOLS, "BET", ("nobody", f"{tmp_path}/tool {{scan}} {{mask}}"))
    lying = np.array([[-1.0, 0, 0, 3], [0, 0, 1, 0], [0, -2, 0, 8], [0, 0, 0, 1]])
    for brightest in (9, 1):
        voxels = np.zeros((4, 5, 6), dtype=np.float32)
        voxels[1, 2, 3] = brightest
        nib.save(nib.Nifti1Image(voxels, lying), tmp_path / "scan.nii")
        whole = read_stack(tmp_path / "scan.nii", axis="axial")
        if brightest < 5:
            with pytest.raises(UnreadableFile, match="BET failed on this head with code 3"):
                tools.brain_of("BET", whole)
            continue
        mask, seconds, memory = tools.brain_of("BET", whole)
        np.testing.assert_array_equal(mask, whole.images == 9)
        assert mask.sum() == 1
        assert seconds > 0
        assert memory > 1


def test_a_brain_gets_our_border_on_the_built_in_head():
    head = heads.load("studyforrest").select([4, 8])
    brain = np.stack([cv2.erode(one, np.ones((15, 15), np.uint8)) for one in head.reference])
    before = [*map(metrics.iou, brain, head.reference)]
    after = [*map(metrics.iou, tools.border_of(brain, head), head.reference)]
    assert min(after) > 0.95 > max(before)


def test_the_stored_comparison_is_whole():
    table, about = real_heads.table("tools"), real_heads.about("tools")
    assert len(table) == (2 * len(tools.TOOLS) - 1) * len(tools.WHOLE_HEADS)
    assert not table.isna().any().any()
    by_way = table.groupby("way")["iou"].mean()
    assert by_way[tools.OUR_BORDER] > by_way[tools.AS_IT_COMES]
    for package, _ in tools.TOOLS.values():
        assert package in about["versions"]
