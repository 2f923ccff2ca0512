"""How well a mask agrees with a reference mask: overlap and surface distances.

Conventions
-----------
Border
    The pixels of a mask with at least one of the face neighbours (4 in 2D, 6 in 3D) outside it;
    beyond the array counts as outside.
Distance
    From the centre of a border pixel to the centre of the nearest border pixel of the other
    mask, in mm when a spacing is given, in px otherwise.
Percentile
    Linear between the order statistics. HD95 is the larger of the two directed 95th percentiles.
Mean
    ASSD averages over the border pixels of both masks pooled together.
Empty masks
    Both empty: overlaps are NaN (there is nothing to overlap), distances 0, surface overlap 1.
    One empty: overlaps 0, distances infinite, surface overlap 0.

These are the choices discussed in Maier-Hein et al. (2024), "Metrics reloaded"; Nikolov et al.
(2021) define the normalised surface distance.
"""

from skullnb.metrics.overlap import OVERLAPS, dice, iou, precision, recall, volume_difference
from skullnb.metrics.scores import Aggregate, SliceScore, aggregate, score
from skullnb.metrics.surface import DISTANCES, NSD_TOLERANCE, Spacing, assd, hausdorff, hd95, nsd

__all__ = [
    "DISTANCES",
    "NSD_TOLERANCE",
    "OVERLAPS",
    "Aggregate",
    "SliceScore",
    "Spacing",
    "aggregate",
    "assd",
    "dice",
    "hausdorff",
    "hd95",
    "iou",
    "nsd",
    "precision",
    "recall",
    "score",
    "volume_difference",
]
