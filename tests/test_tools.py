import stat
import sys

import cv2
import nibabel as nib
import numpy as np
import pytest

from skullnb import heads, metrics
from skullnb.errors import UnreadableFile
from skullnb.study import tools

BRIGHT = """#!{python}
import sys
import nibabel as nib
import numpy as np
scan = nib.load(sys.argv[1])
assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")
mask = np.uint8(np.asarray(scan.dataobj) > 5)
nib.save(nib.Nifti1Image(mask, scan.affine), sys.argv[2])
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a tool of our own, written as a script, in the place of one that marks brains."""

    def put(text):
        path = tmp_path / "tool"
        path.write_text(text.format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setitem(tools.TOOLS, "BET", ("nobody", f"{path} {{scan}} {{mask}}"))

    return put


def test_a_tool_sees_the_scan_upright_and_its_mask_comes_back_as_the_scan_is_stored(program):
    program(BRIGHT)
    voxels = np.zeros((4, 5, 6), dtype=np.float32)
    voxels[1, 2, 3] = 9
    lying = np.array([[-1.0, 0, 0, 3], [0, 0, 1, 0], [0, -2, 0, 8], [0, 0, 0, 1]])
    mask, seconds, memory = tools.brain_of("BET", nib.Nifti1Image(voxels, lying))
    np.testing.assert_array_equal(np.argwhere(mask), [[1, 2, 3]])
    assert seconds > 0
    assert memory > 1


def test_a_tool_that_fails_is_named(program):
    program("#!{python}\nraise SystemExit(3)\n")
    scan = nib.Nifti1Image(np.zeros((3, 3, 3), dtype=np.float32), np.eye(4))
    with pytest.raises(UnreadableFile, match="BET failed on this head with code 3"):
        tools.brain_of("BET", scan)


def test_a_brain_gets_our_border_on_the_built_in_head():
    head = heads.load("studyforrest").select([4, 8])
    brain = np.stack([cv2.erode(one, np.ones((15, 15), np.uint8)) for one in head.reference])
    before = [metrics.iou(*pair) for pair in zip(brain, head.reference, strict=True)]
    grown = tools.border_of(brain, head)
    after = [metrics.iou(*pair) for pair in zip(grown, head.reference, strict=True)]
    assert min(after) > 0.95 > max(before)


def test_the_stored_comparison_is_whole():
    table, about = tools.table(), tools.about()
    assert len(table) == (2 * len(tools.TOOLS) - 1) * len(tools.WHOLE_HEADS)
    assert not table.isna().any().any()
    by_way = table.groupby("way")["iou"].mean()
    assert by_way[tools.OUR_BORDER] > by_way[tools.AS_IT_COMES]
    for package, _ in tools.TOOLS.values():
        assert package in about["versions"]
