"""Inputs that were found by fuzzing, and new ones: each ends in an answer or in one sentence.

`corpus/` holds a file a door with an input a line, in base64; a new finding is a new line.
"""

import gzip
import os
import tempfile
import zipfile
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from dicoms import PLANTED, save_series
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import KINDS, save

from skullnb.batch import mask_batch
from skullnb.errors import SkullnbError
from skullnb.stack import read_stack, write_masks

EXAMPLES = int(os.environ.get("SKULLNB_EXAMPLES", "40"))  # `make fuzz` takes more
CORPUS = Path(__file__).with_name("corpus")
IMAGES = np.random.default_rng(3).integers(0, 255, (3, 24, 20)).astype(np.uint8)


def read(path):
    """Read a file to its last pixel, and write masks of it."""
    for axis in ("axial", "sagittal"):
        stack = read_stack(path, axis=axis)
        if stack.images.size < 1 << 20:
            write_masks(stack.images != stack.images, path.with_name("out.nii.gz"), stack, True)
        if None in stack.grids:
            break


def enter_npz_member(content, folder):
    """Arrays in an archive whose checksums fit: the first byte says where one ends."""
    cut = content[0] * 2 if content else 0
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", content[1 + cut :])
        archive.writestr("groups.npy", content[1 : 1 + cut])
    read(folder / "a.npz")


def enter_zarr(content, folder):
    """A zarr array: its description, an empty line, and its one chunk."""
    about, _, chunk = content.partition(b"\n\n")
    (folder / "a.zarr" / "c" / "0" / "0").mkdir(parents=True)
    (folder / "a.zarr" / "zarr.json").write_bytes(about)
    (folder / "a.zarr" / "c" / "0" / "0" / "0").write_bytes(chunk)
    mask_batch(folder / "a.zarr", folder / "m.npy", workers=1, overwrite=True)


def enter(door, content, folder):
    if f"enter_{door}" in globals():
        globals()[f"enter_{door}"](content, folder)
        return
    path = folder / f"a.{door.replace('_', '.')}"
    packed = path.suffix in (".gz", ".mgz")
    path.write_bytes(gzip.compress(content, 1, mtime=0) if packed else content)
    read(path)


def refusal(call, *words):
    """Return the one sentence that refuses a call, or "" where it is answered."""
    try:
        call(*words)
        return ""
    except SkullnbError as error:
        said = str(error)
    assert said.isprintable()
    assert PLANTED not in said
    return said


@pytest.mark.parametrize("door", sorted(path.stem for path in CORPUS.iterdir()))
def test_what_a_fuzzer_found_is_still_answered(door, tmp_path):
    refusals = set()
    for number, line in enumerate((CORPUS / f"{door}.txt").read_text().split()):
        (tmp_path / f"{number}").mkdir()
        refusals.add(refusal(enter, door, b64decode(line), tmp_path / f"{number}"))
    assert len(refusals) > 1, "a corpus in which all is answered alike shows little"


def saved(folder, kind):
    """Store slices in a kind of file; return the path, and what is to be read of it."""
    path, one = Path(folder) / f"a.{kind}", IMAGES[:1]
    if kind == "dcm":
        return save_series(path.parent, one.astype(np.int16), names=path.name)[0], one
    return save(path, IMAGES), one if kind in ("png", "jpg") else IMAGES


@pytest.mark.parametrize("kind", [*KINDS, "dcm", "png", "jpg"])
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_a_file_cut_or_damaged_anywhere_is_read_or_refused_in_one_sentence(kind, data):
    with tempfile.TemporaryDirectory() as folder:
        path, expected = saved(folder, kind)
        whole, size = bytearray(path.read_bytes()), path.stat().st_size
        anywhere, near_the_end = st.integers(0, size - 1), st.integers(max(0, size - 600), size - 1)
        path.write_bytes(whole[: data.draw(anywhere | near_the_end)])
        said = refusal(read, path)
        assert path.name in said or kind == "jpg" or (read_stack(path).images == expected).all()
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(anywhere | st.integers(0, min(400, size - 1)))
            whole[place] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
        refusal(read, path)
