"""The images on which the safety net is pinned, the open heads among them, and what changed."""

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from skullnb import Stack, heads, phantom

HEADS = ("colin27", "studyforrest", "ubermuda-t2star", "ubermuda-flair", "mne-ecog")
FRAME = (512, 448)  # the largest open head's; the others are laid into its middle


def noise_images() -> dict[str, NDArray[Any]]:
    """Noise from many components to few, as every kind of number; seeded whole numbers."""
    draw = np.random.Generator(np.random.PCG64(20)).integers
    images = {
        kind: draw(0, 120, (90, 110)).astype(kind)
        for kind in ("uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64")
    }
    images["big-endian"] = images["int16"].astype(">i2")
    images["fortran"] = np.asfortranarray(images["float32"])
    images["every-other"] = draw(0, 256, (180, 220))[::2, ::-2]
    images["negative"] = draw(-2000, 1000, (64, 65))
    images["wide-range"] = draw(0, 2**40, (64, 65)).astype(np.float64)
    images["one-row"] = draw(0, 256, (1, 90))
    images["one-column"] = draw(0, 256, (90, 1))
    images["one-pixel"] = draw(0, 256, (1, 1))
    images["sparse"] = (draw(0, 100, (200, 210)) > 96).astype(np.uint8)
    blocks = draw(0, 200, (12, 13)).repeat(16, axis=0).repeat(16, axis=1)
    images["blocks"] = blocks + draw(0, 20, blocks.shape)
    images["large"] = draw(0, 256, (400, 401)).astype(np.uint8)
    return images


def tie_images() -> dict[str, NDArray[Any]]:
    """Slices on which a rule meets equals, or has nothing to do."""
    areas = np.zeros((70, 80), dtype=np.uint8)
    areas[10:20, 50:60] = areas[30:40, 10:20] = areas[50:60, 40:50] = 9
    diagonal = np.zeros((60, 60), dtype=np.uint8)
    diagonal[10:20, 10:20] = diagonal[20:30, 20:30] = 1
    # Between two equal peaks every threshold parts the pixels alike.
    peaks = np.zeros((40, 40), dtype=np.uint8)
    peaks[10:30, 10:30] = 255
    three = np.zeros((30, 60), dtype=np.uint8)
    three[:, 20:40], three[:, 40:] = 128, 255
    rings = np.zeros((80, 80), dtype=np.uint8)
    for inset in (5, 15, 25, 35):
        rings[inset : 80 - inset, inset : 80 - inset] ^= 1
    framed = np.zeros((50, 50), dtype=np.int16)
    framed[0, 7] = framed[20:30, 0:9] = framed[49, 40:] = 3
    corner = framed.copy()
    corner[12:15, 30:33] = 3
    return {
        "equal-areas": areas,
        "diagonal": diagonal,
        "equal-otsu": peaks,
        "three-levels": three,
        "rings": rings,
        "all-touch": framed,
        "one-inside": corner,
        "flat": np.full((20, 20), 7),
        "zeros": np.zeros((20, 20), dtype=np.float32),
        "ramp": np.arange(100 * 120).reshape(100, 120),
    }


published = cache(phantom.published_stack)
variant = cache(phantom.variant)


@cache
def small_cohort() -> Stack:
    """Three heads of two slices on coarse pixels, so that volumes can be held out."""
    spacing, groups = (1.5, 1.5), ("anna", "anna", "ben", "ben", "cleo", "cleo")
    parts = [phantom.subject(seed, 2, shape=(192, 156), spacing_mm=spacing) for seed in (1, 2, 3)]
    images, reference = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("images", "reference")
    )
    return Stack(images, reference, spacing, groups, "cohort")


def odd() -> Stack:
    """Return the stand-in, coarser, with one flat slice and one where nothing can be chosen."""
    stack = published()
    images, reference = stack.images[:, ::2, ::2].copy(), stack.reference[:, ::2, ::2].copy()
    images[1], reference[1] = 1e-5, 0
    images[3] = 0
    images[3, :50] = 2e-5  # bright, and all of it touches the frame
    return Stack(images, reference, groups=("a", "a", "a", "b", "b"), name="odd")


def every_rule() -> Stack:
    """Five small slices on which every rule fires and changes something."""
    halo = np.zeros((120, 120), dtype=np.uint8)
    halo[10:110, 12:106] = 1  # just above nothing
    halo[20:100, 20:100] = 200
    halo[30:90, 32:88] = 0  # a hole too wide for the dilation to close
    halo[105:107, 30:33] = 255
    halo[115:120, 3:30] = 90
    speckled = np.random.Generator(np.random.PCG64(3)).integers(0, 60, halo.shape).astype(np.uint8)
    speckled[15:45, 20:50] += 180
    larger_outside = halo.copy()
    larger_outside[70:, :] = 240
    larger_outside[10:25, 30:40] = 250
    images = np.stack([halo, speckled, larger_outside, np.full_like(halo, 3), halo[::-1, ::-1]])
    reference = np.zeros(images.shape, dtype=np.uint8)
    reference[:, 8:110, 11:106] = 1
    return Stack(images, reference, (0.8, 0.7), ("x", "x", "y", "y", "z"), "every rule")


def real_data() -> Path:
    """Return the folder of copies that is named, or lies beside the project; else skip, loudly."""
    named = Path(os.environ.get(heads.FOLDER_VARIABLE, "nowhere"))
    if (named / "registry.tsv").is_file():
        return named
    for parent in Path(__file__).resolve().parents[2:]:
        for registry in sorted(parent.glob("*/data/registry.tsv")):
            return registry.parent
    pytest.skip(f"REAL DATA MISSING: {heads.FOLDER_VARIABLE} names none; NO real head was read")


def head(name: str, mirror: Path) -> Stack:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(heads.FOLDER_VARIABLE, str(mirror))
        return heads.load(name)


def write_report_data(name: str, folder: Path, mirror: Path | None) -> dict[str, Any]:
    """Write the data of one of the four reports; return the parameters that name it."""
    if name == "phantom":
        return {"images": "phantom"}
    stack = published()
    if name == "bare":
        np.save(folder / "bare.npy", stack.images[:, ::2, ::2])
        return {"images": str(folder / "bare.npy")}
    chosen = {"kernel_width": 21} if name == "odd" else {}  # which every chapter has to follow
    if name == "odd":
        stack = odd()
        images, reference, labels = stack.images, stack.reference, stack.groups
    else:
        assert mirror is not None
        images, reference, labels = _heads_in_one_frame(mirror)
    path = folder / f"{name}.npz"
    np.savez(path, images=images, reference=reference)
    return {"images": str(path), "groups": ",".join(labels), **chosen}


def _heads_in_one_frame(mirror: Path) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Lay two slices of every open head into one frame, around them its own darkest value."""
    images, references, labels = [], [], []
    for name in HEADS:
        stack = head(name, mirror)
        room = np.subtract(FRAME, stack.images.shape[1:])
        margins = np.stack([room // 2, room - room // 2], axis=1)
        for i in (len(stack) // 3, 2 * len(stack) // 3):
            image = stack.images[i].astype(np.float32)
            images.append(np.pad(image, margins, constant_values=image.min()))
            references.append(np.pad(stack.reference[i], margins))
            labels.append(stack.groups[i])
    return np.stack(images), np.stack(references), labels


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single value with its place; an empty list or mapping is one, too."""
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from leaves(one, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list | tuple) and value:
        for number, one in enumerate(value):
            yield from leaves(one, f"{path}[{number}]")
    else:
        yield path, value


def same(old: Any, new: Any, relative: float) -> bool:
    if isinstance(old, float) and isinstance(new, float | int) and not isinstance(new, bool):
        # What is 0 but for rounding has no relative difference worth the name.
        return math.isclose(old, new, rel_tol=relative, abs_tol=relative * 1e-3)
    return type(old) is type(new) and bool(old == new)


def differences(old: Any, new: Any, relative: float = 1e-12) -> list[str]:
    """Tell what changed between two results; all but numbers with a point exactly."""
    before, after = dict(leaves(old)), dict(leaves(new))
    lines = [f"gone: {path} = {before[path]!r}" for path in before if path not in after]
    lines += [f"new: {path} = {after[path]!r}" for path in after if path not in before]
    lines += [
        f"changed: {path}: {one!r} -> {after[path]!r}"
        for path, one in before.items()
        if path in after and not same(one, after[path], relative)
    ]
    return lines
