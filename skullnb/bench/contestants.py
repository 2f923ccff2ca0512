"""The ways to a skull mask that are timed against each other, each as its users would write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skullnb.bench.literal import literal_mask, literal_normalise
from skullnb.pipeline import Mask, create_skull_mask, use_tier

Image = NDArray[Any]


@dataclass(frozen=True)
class Contestant:
    """A way to a mask.

    Parameters
    ----------
    name : str
    about : str
        What it is, in a few words.
    mask : callable
        (H, W) image and kernel width in px to (H, W) uint8 {0, 1}.
    same : bool
        Whether its mask has to be the literal one, bit for bit.
    module : str
        What must be installed for it.
    prepare : callable, optional
        Called before every measurement, off the clock.
    """

    name: str
    about: str
    mask: Callable[[Image, int], Mask]
    same: bool = False
    module: str = ""
    prepare: Callable[[], object] | None = None

    @property
    def is_here(self) -> bool:
        """Whether it can take part on this machine."""
        return not self.module or find_spec(self.module) is not None

    def warm(self) -> None:
        """Get it ready, off the clock."""
        if self.prepare:
            self.prepare()


def floor(image: Image, _width: int = 0) -> Mask:
    """Do what no method can avoid: find minimum and maximum, and write a mask. Not a skull mask.

    Examples
    --------
    >>> floor(np.eye(2))
    array([[1, 1],
           [1, 1]], dtype=uint8)
    """
    return np.full(image.shape, image.max() > image.min(), dtype=np.uint8)


def with_opencv(image: Image, width: int) -> Mask:
    """Component statistics instead of a loop, and outer contours drawn full instead of a fill."""
    levels = literal_normalise(image)
    _, binary = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    _, labels, found, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        binary, 8, cv2.CV_32S, cv2.CCL_BBDT
    )
    left, top, across, down, areas = found.T
    height, columns = image.shape
    inside = (left > 0) & (top > 0) & (left + across < columns) & (top + down < height)
    inside[0] = False
    mask = np.zeros(image.shape, dtype=np.uint8)
    if not inside.any():
        return mask
    brain = np.equal(labels, np.argmax(areas * inside)).view(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    contours, _ = cv2.findContours(
        cv2.dilate(brain, kernel), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return np.asarray(cv2.drawContours(mask, contours, -1, 1, cv2.FILLED), dtype=np.uint8)


def with_scikit_image(image: Image, width: int) -> Mask:
    """Clear the border, take the largest label, dilate by a disc."""
    from skimage import filters, measure, morphology, segmentation

    bright = image > filters.threshold_otsu(image)
    brain = _largest(measure.label(segmentation.clear_border(bright), connectivity=2))
    return _filled(brain.any() & morphology.isotropic_dilation(brain, width / 2))


def with_scipy(image: Image, width: int) -> Mask:
    """Otsu's threshold from a histogram; labels; all that is near enough by a distance map."""
    counts, edges = np.histogram(image, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = total / below - (total[-1] - total) / above
    level = centres[np.argmax(np.nan_to_num(below * above * apart**2, posinf=0))]
    labels, _ = ndimage.label(image > level, np.ones((3, 3)))
    frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    labels[np.isin(labels, frame)] = 0
    brain = _largest(labels)
    return _filled(brain.any() & (ndimage.distance_transform_edt(~brain) <= width / 2))


def with_simpleitk(image: Image, width: int) -> Mask:
    """Otsu, labels sorted by size, a ball, and its own filling of holes."""
    import SimpleITK as sitk  # noqa: N813, as its users do

    bright = sitk.OtsuThreshold(sitk.GetImageFromArray(image), 0, 1, 256)
    sorted_labels = sitk.RelabelComponent(
        sitk.ConnectedComponent(bright, True), sortByObjectSize=True
    )
    labels = sitk.GetArrayViewFromImage(sorted_labels)
    frame = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    first = next(label for label in range(1, len(frame) + 2) if label not in frame)
    radius = (width // 2, width // 2)
    grown = sitk.BinaryDilate(sitk.Equal(sorted_labels, first), radius, sitk.sitkBall)
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryFillhole(grown)), dtype=np.uint8)


def _one_itk_thread() -> None:
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _largest(labels: NDArray[Any]) -> NDArray[np.bool_]:
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return np.asarray((labels == areas.argmax()) & (areas.max() > 0))


def _filled(mask: NDArray[Any]) -> Mask:
    return np.asarray(ndimage.binary_fill_holes(mask).astype(np.uint8))


# What people read instead of the short names.
NAMES = {
    "literal": "the article's way",
    "numba": "skullnb with numba",
    "numpy": "skullnb without numba",
    "opencv": "OpenCV, with care",
    "scipy": "scipy",
    "scikit-image": "scikit-image",
    "simpleitk": "SimpleITK",
    "floor": "floor",
}

CONTESTANTS = (
    Contestant("literal", "the article's steps, transcribed", literal_mask, same=True),
    Contestant(
        "numba", "skullnb with numba", create_skull_mask, True, "numba", lambda: use_tier("numba")
    ),
    Contestant(
        "numpy", "skullnb without numba", create_skull_mask, True, "", lambda: use_tier("numpy")
    ),
    Contestant("opencv", "OpenCV, written with care", with_opencv),
    Contestant("scipy", "scipy, as its users write", with_scipy),
    Contestant("scikit-image", "as its users write", with_scikit_image, module="skimage"),
    Contestant(
        "simpleitk", "as its users write", with_simpleitk, False, "SimpleITK", _one_itk_thread
    ),
    Contestant("floor", "minimum, maximum, one write; no mask", floor),
)


def here(*names: str) -> list[Contestant]:
    """Contestants that can take part on this machine, all or those named.

    Examples
    --------
    >>> [one.name for one in here("literal", "floor")]
    ['literal', 'floor']
    """
    return [one for one in CONTESTANTS if one.is_here and (not names or one.name in names)]
