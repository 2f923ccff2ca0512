"""Draw the README's picture again: `python book/pictures/slices.py`."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skullnb import heads
from skullnb.pipeline import create_skull_masks
from skullnb.report import plot

head = heads.load("studyforrest")
images, reference = head.images[0::5], head.reference[0::5]
masks = create_skull_masks(images)
box = plot.box_of(np.max(images, axis=0) > images.max() / 8, margin=0.03)
fig, axes = plt.subplots(1, len(images), figsize=(9, 2.85), facecolor="black")
for ax, image, mask, truth in zip(axes, images, masks, reference, strict=True):
    plot.show(ax, image, spacing=head.spacing_mm, box=box, cmap="gray")
    plot.outline(ax, mask, "mask", linewidths=1.5)
    plot.outline(ax, truth, "reference", linewidths=1.5, linestyles="--")
fig.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0)
fig.savefig(Path(__file__).with_suffix(".png"), dpi=120)
