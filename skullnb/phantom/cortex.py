"""The folded cortex: gyri are the cells of a mosaic, sulci the walls between them.

Each pixel belongs to its nearest of many points. Every gyrus keeps one open border, towards a
deeper neighbour: its white-matter stalk. So the brain stays in one piece.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.phantom.shape import GYRUS, Array, Section, ramp, snap

Region = NDArray[np.bool_]

FAR = 99.0  # mm; farther than any distance that matters here
CORE_DEPTH = 24.0  # mm below the surface, where the deep white matter begins
STALK_HALF_WIDTH = 1.8  # mm
SYLVIAN_ANGLE = np.deg2rad(80)  # where the lateral fissure opens, from the front
INSULA = ((36.0, -15.0), (34.5, 0.0), (37.0, 15.0))  # mm (x, y) at the widest level


def fold_cortex(section: Section) -> tuple[Region, Array, Region]:
    """Fold the brain of one level: its tissue, depth in it (mm, sulci counted), and the falx."""
    half_width = section.recipe.sulcus_half_width
    below_pia = section.below(section.surfaces.pia)
    midline, fissure, to_midline = midline_fissure(section, section.x, section.y)
    depth = np.minimum(below_pia, to_midline)
    lateral = sylvian_distance(section)

    points, point_depth = place_gyri(section)
    used = np.nonzero(point_depth > 0.3 * GYRUS)[0]
    points, point_depth = points[:, used], point_depth[used]
    core = point_depth > CORE_DEPTH
    mosaic = Mosaic(section, midline, points)
    borders = mosaic.borders((lateral > 3) & (depth > 1.5)) * min(section.spacing_mm)
    stalks = grow_stalks(borders, point_depth, mosaic.point_side, core)
    walls, widths = mosaic.walls(stalks, core, section.head.wall_widths[np.ix_(used, used)])
    walls = np.where(lateral < 3.5, FAR, walls)  # no sulcus runs into the lateral fissure

    # Sulci gape at the surface and narrow with depth; tight ones are lines without fluid.
    inwards = np.maximum(depth, 0)
    gape = 0.62 + 0.38 * np.exp(-inwards / 10) + 0.7 * np.exp(-inwards / 2)
    fluid = walls < snap(half_width * widths * gape)
    fluid |= (to_midline < fissure) | (lateral < half_width)
    cuts = fluid | (walls < 0.25) | (to_midline < 0.25)
    pixel = section.spacing_mm[0] * section.spacing_mm[1]
    cuts = keep_large(cuts, 8 / pixel)  # no crumbs of sulci beside the stalks
    tissue = (below_pia > 0) & ~(fluid & cuts)
    height, width = (2 * round(1.3 / step) + 1 for step in section.spacing_mm)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))
    rounded = cv2.morphologyEx(tissue.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
    tissue = np.where(below_pia < 3, rounded, tissue)
    tissue = keep_large(tissue, 100 / pixel)
    falx = (np.abs(midline) < 0.36) & (fissure > 0) & (below_pia > -1) & (below_pia < 50)
    return tissue, distance_inside(tissue & ~cuts, section.spacing_mm), falx


def midline_fissure(section: Section, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Signed distance to the midline, half width of the fissure (-1 = none), distance to it; mm."""
    q, level, surfaces = section.head.midline, section.level, section.surfaces
    x = x - snap(0.6 * np.sin(y / 26 + q[0]) + 0.4 * np.sin(y / 11 + q[1]))
    closed = surfaces.scale * ramp(level, 33, 27)
    rise = min(max(level, 0.0), 26.0) - 4
    front, back = -(36 - 0.55 * rise) * closed, (42 - 0.50 * rise) * closed
    to_rim = np.minimum(y + surfaces.pia[len(surfaces.pia) // 2], surfaces.pia[0] - y)
    wavy = 0.6 + 0.4 * np.sin(y / 4.6 + q[2]) * np.sin(y / 11 + q[3])
    width = section.recipe.sulcus_half_width * (wavy + 0.9 * np.exp(-np.abs(to_rim) / 5))
    kissing = np.sin(y / 7.5 + q[1] + 0.06 * level) > 1.5 - 1.2 * section.recipe.touching
    width = np.where(kissing & (to_rim > 16), 0.0, np.maximum(width, 0.42))
    fissure = snap(np.where((y < front) | (y > back), width, -1.0))
    return x, fissure, np.where(fissure >= 0, np.abs(x), FAR)


def place_gyri(section: Section) -> tuple[Array, Array]:
    """Points of the gyri (2, n) and their depths (n,), mm; they sway a little with the level."""
    head = section.head
    sway = 2.0 * np.sin(head.gyrus_phases + head.gyrus_paces * section.level)
    x, y = points = snap(head.gyri + sway, 1024)
    _, _, to_midline = midline_fissure(section, x, y)
    depth = np.minimum(section.surfaces.below(section.surfaces.pia, x, y), to_midline)
    # Below the callosum's top the nuclei and ventricles fill the middle; sulci stay out.
    middle = section.surfaces.scale**2 * ramp(section.level, 33, 27)
    return points, np.where((x / 34) ** 2 + (y / 50) ** 2 < middle, FAR, depth)


class Mosaic:
    """The nearest point of every pixel, each hemisphere for itself, in a bent plane."""

    def __init__(self, section: Section, midline: Array, points: Array) -> None:
        self.section, self.points = section, points
        self.x = midline + 1.3 * section.head.fold_bend[0].at(section)
        self.y = section.y + 1.3 * section.head.fold_bend[1].at(section)
        self.side = np.where(midline >= 0, 1, -1)
        self.point_side = np.where(points[0] >= 0, 1, -1)
        reach = 1.5 * GYRUS
        self.boxes = [section.box(x, y, reach) for x, y in points.T]
        self.squared = np.full(midline.shape, FAR * FAR)
        self.cell = np.full(midline.shape, -1, np.int32)
        for j, box in enumerate(self.boxes):
            squared = self._squared_distance(j)
            nearer = (squared < self.squared[box]) & (self.side[box] == self.point_side[j])
            self.squared[box][nearer] = squared[nearer]
            self.cell[box][nearer] = j

    def _squared_distance(self, j: int) -> Array:
        box = self.boxes[j]
        dx, dy = self.x[box] - self.points[0, j], self.y[box] - self.points[1, j]
        return np.asarray(dx * dx + dy * dy)

    def borders(self, counted: Region) -> NDArray[np.int_]:
        """Pixels along the border between each pair of cells, (n, n), where `counted` is true."""
        n = self.points.shape[1]
        lengths = np.zeros((n, n), int)
        cell = np.where(counted, self.cell, -1)
        for a, b in ((cell[1:], cell[:-1]), (cell[:, 1:], cell[:, :-1])):
            meet = (a != b) & (a >= 0) & (b >= 0)
            lengths += np.bincount(a[meet] * n + b[meet], minlength=n * n).reshape(n, n)
        return lengths + lengths.T

    def walls(self, stalks: Region, core: Region, widths: Array) -> tuple[Array, Array]:
        """Distance (mm) of each pixel to the nearest closed border of its cell, and its width."""
        open_border = stalks | np.outer(core, core)
        gaps = self.points[:, :, None] - self.points[:, None, :]
        apart = 2 * np.sqrt((gaps**2).sum(axis=0)) + np.where(open_border, 1e-9, 0.0)
        nearest, width = np.full(self.x.shape, FAR), np.zeros(self.x.shape)
        for j, box in enumerate(self.boxes):
            cell = self.cell[box]
            closed = (~open_border[j])[cell] & (cell >= 0) & (self.side[box] == self.point_side[j])
            to_border = (self._squared_distance(j) - self.squared[box]) / apart[j][cell]
            nearer = closed & (to_border < nearest[box])
            nearest[box][nearer] = to_border[nearer]
            width[box][nearer] = widths[j][cell[nearer]]
        walls = snap(nearest)  # and none in a stalk's corridor, lest two sulci pinch it off
        for i, j in np.argwhere(np.triu(stalks, 1)):
            start, end = self.points[:, i], self.points[:, j]
            reach = 0.5 * float(np.hypot(*(end - start))) + 5
            x, y = (start + end) / 2
            box = self.section.box(x, y, reach)
            corridor = segment_distance(self.x[box], self.y[box], start, end) < STALK_HALF_WIDTH
            walls[box][corridor] = FAR
        return walls, width


def grow_stalks(lengths: Array, depth: Array, side: NDArray[np.int_], core: Region) -> Region:
    """Decide which borders (mm, n x n) stay open: a tree from each side's deepest cell outwards."""
    joined = np.eye(depth.size, dtype=bool)
    reached = np.zeros(depth.size, dtype=bool)
    for half in (-1, 1):
        if (side == half).any():
            reached[np.where(side == half, depth, -FAR).argmax()] = True
    # A wide border to a deeper neighbour makes the best stalk; borders under 5 mm would close up.
    score = lengths + 20.0 * (depth[:, None] > depth[None, :] + 2) + 50.0 * np.outer(core, core)
    score = np.where(lengths > 5.0, score, np.where(lengths > 0, lengths - 2 * FAR, -4 * FAR))
    while not reached.all():
        choice = np.where(reached[:, None] & ~reached[None, :], score, -4 * FAR)
        parent, child = np.unravel_index(int(choice.argmax()), choice.shape)
        if choice[parent, child] <= -4 * FAR:
            break
        joined[parent, child] = joined[child, parent] = True
        reached[child] = True
    return joined


def sylvian_distance(section: Section) -> Array:
    """Distance (mm) to the lateral fissures and to the insula's cleft behind each."""
    distance = np.full(section.x.shape, FAR)
    opening = ramp(section.level, 26, 12)
    if not opening:
        return distance
    for side in (-1, 1):
        rim = np.array(section.surfaces.point(section.surfaces.pia, side * SYLVIAN_ANGLE))
        cleft = np.array(INSULA) * (side, opening) * section.surfaces.scale
        bend = 0.5 * (rim + cleft[1]) + (0, 2)
        for start, end in ((rim, bend), (bend, cleft[1]), cleft[:2], cleft[1:]):
            distance = np.minimum(distance, segment_distance(section.x, section.y, start, end))
    return snap(distance)


def segment_distance(x: Array, y: Array, start: Array, end: Array) -> Array:
    """Distance (mm) of every pixel to a straight segment between two points (x, y)."""
    (x0, y0), (dx, dy) = start, end - start
    share = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.asarray(np.sqrt((x - x0 - share * dx) ** 2 + (y - y0 - share * dy) ** 2))


def keep_large(mask: Region, least_pixels: float) -> Region:
    """Keep the connected pieces of a mask that have enough pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_pixels
    keep[0] = False
    return np.asarray(keep[labels])


def distance_inside(mask: Region, spacing_mm: tuple[float, float]) -> Array:
    """Distance (mm) of each pixel of a mask to the nearest pixel outside it, 0 outside."""
    # OpenCV's last bits vary from run to run, but a squared distance is a whole number of pixels.
    step = min(spacing_mm)
    rows, columns = (round(n * s / step) for n, s in zip(mask.shape, spacing_mm, strict=True))
    square = resample(mask.astype(np.uint8), rows, columns)
    distance = cv2.distanceTransform(square, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    return resample(snap(np.sqrt(np.rint(distance**2)) * step, 65536), *mask.shape)


def resample(image: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Nearest-neighbour resampling to another number of rows and columns."""
    row = (2 * np.arange(rows) + 1) * image.shape[0] // (2 * rows)
    column = (2 * np.arange(columns) + 1) * image.shape[1] // (2 * columns)
    return np.ascontiguousarray(image[np.ix_(row, column)])
