"""The pipeline's stages for the explorer: what a move does not change is not done again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from skullnb import metrics
from skullnb.pipeline import (
    PipelineSettings,
    SkullMaskTrace,
    dilate,
    fill_holes,
    masks_by_width,
    trace_skull_mask,
)
from skullnb.stack import Stack

# Pixels of traced slices that are kept: 16 slices of 768 x 624, about 70 MB; always at least one.
CACHED_PIXELS = 8_000_000

# The sweep's widths: steps of 2 px, and more than these are thinned out.
MOST_WIDTHS = 40
CACHED_SWEEPS = 64

Curves = dict[str, tuple[float, ...]]


class Stages:
    """Traces of a stack's slices; everything before the dilation is remembered for a while.

    Parameters
    ----------
    stack : Stack
        Read one slice at a time.

    Examples
    --------
    >>> import numpy as np
    >>> stages = Stages(Stack(np.eye(16)[np.newaxis]))
    >>> for width in range(30):
    ...     trace = stages.trace(0, PipelineSettings(kernel_width=width))
    >>> len(stages)
    1
    """

    def __init__(self, stack: Stack) -> None:
        """Remember nothing yet."""
        self._stack = stack
        self._undilated: OrderedDict[tuple[int, PipelineSettings], SkullMaskTrace] = OrderedDict()
        self._sweeps: OrderedDict[tuple[int, PipelineSettings, int], Curves] = OrderedDict()

    def __len__(self) -> int:
        """Count what is remembered."""
        return len(self._undilated)

    def trace(self, number: int, settings: PipelineSettings) -> SkullMaskTrace:
        """Trace one slice.

        Parameters
        ----------
        number : int
            Index into the stack.
        settings : PipelineSettings

        Returns
        -------
        SkullMaskTrace
            The same stages and mask as `trace_skull_mask`'s, bit for bit; without rules and
            warnings, because those kept belong to a run without a dilation.

        Raises
        ------
        InvalidImage
            If the slice cannot be worked on.
        """
        shared = self._before_dilation(number, settings)
        dilated = dilate(shared.brain, settings.kernel_width, settings.kernel_shape)
        mask = fill_holes(dilated) if settings.fill_holes else dilated
        return replace(shared, settings=settings, dilated=dilated, mask=mask, rules=(), warnings=())

    def sweep(self, number: int, settings: PipelineSettings, widest: int) -> tuple[range, Curves]:
        """Measure one slice's mask at every kernel width, once.

        Parameters
        ----------
        number : int
            Index into the stack.
        settings : PipelineSettings
            All but the kernel width.
        widest : int
            In px.

        Returns
        -------
        widths : range
            From 0 to `widest` or one less.
        curves : dict of str to tuple of float
            share (of the frame that the mask covers), and with a reference Dice and IoU.

        Examples
        --------
        >>> images = np.zeros((1, 16, 16))
        >>> images[0, 6:10, 6:10] = 1.0
        >>> widths, curves = Stages(Stack(images)).sweep(0, PipelineSettings(), 4)
        >>> list(widths), [round(256 * share) for share in curves["share"]]
        ([0, 2, 4], [16, 24, 46])
        """
        widths = range(0, widest + 1, max(2, widest // MOST_WIDTHS))
        key = number, replace(settings, kernel_width=0), widest
        if key not in self._sweeps:
            stack = self._stack
            masks = masks_by_width(
                stack.images[number], widths, settings, slice_number=stack.slice_numbers[number]
            )
            if stack.reference is None:
                self._sweeps[key] = {"share": tuple(float(np.mean(mask)) for mask in masks)}
            else:
                reference = np.asarray(stack.reference[number]).astype(np.bool_)
                rows = [
                    (
                        float(np.mean(mask)),
                        metrics.dice(mask, reference),
                        metrics.iou(mask, reference),
                    )
                    for mask in masks
                ]
                names = "share", "Dice", "IoU"
                self._sweeps[key] = dict(zip(names, zip(*rows, strict=True), strict=True))
            while len(self._sweeps) > CACHED_SWEEPS:
                self._sweeps.popitem(last=False)
        self._sweeps.move_to_end(key)
        return widths, self._sweeps[key]

    def _before_dilation(self, number: int, settings: PipelineSettings) -> SkullMaskTrace:
        undilated = replace(settings, kernel_width=0, kernel_shape="ellipse", fill_holes=False)
        key = number, undilated
        if key not in self._undilated:
            self._undilated[key] = trace_skull_mask(
                self._stack.images[number],
                undilated,
                slice_number=self._stack.slice_numbers[number],
            )
            most = max(1, CACHED_PIXELS // self._undilated[key].mask.size)
            while len(self._undilated) > most:
                self._undilated.popitem(last=False)
        self._undilated.move_to_end(key)
        return self._undilated[key]
