"""The folded cortex: gyri are the cells of a mosaic, sulci the walls between them.

The plane is strewn with points, one a gyrus; each pixel belongs to its nearest point. Every gyrus
keeps one open border, towards a deeper neighbour: its white-matter stalk. All other borders become
sulci. So the brain stays in one piece however the sulci branch, and no sulcus closes on itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.phantom.anatomy import Array, Grid, Head, Surfaces, Texture, ramp, snap

FAR = 99.0  # mm; farther than any distance that matters here
CORE_DEPTH = 24.0  # mm below the surface, where the deep white matter begins
STALK_HALF_WIDTH = 1.8  # mm
SYLVIAN_ANGLE = np.deg2rad(80)  # where the lateral fissure opens, from the front
INSULA = ((36.0, -15.0), (34.5, 0.0), (37.0, 15.0))  # mm (x, y) at the widest level


@dataclass(frozen=True)
class Cortex:
    """The folded brain of one level, (H, W) over the grid."""

    tissue: NDArray[np.uint8]  # 1 = brain tissue, 0 = fluid
    depth: Array  # mm from the nearest surface of the tissue, sulcal walls included
    falx: NDArray[np.bool_]  # the membrane in the midline fissure


class Folds:
    """The random numbers of one head's folding, the same at all levels."""

    def __init__(self, head: Head) -> None:
        rng, spacing = head.rng, head.anatomy.gyrus
        n = int(2 * 110 / spacing)
        column, row = np.meshgrid(np.arange(n) - n / 2, np.arange(int(n * 1.16)) - n * 0.58)
        x = (column + 0.5 * (np.arange(len(row)) % 2)[:, None]).ravel() * spacing
        y = row.ravel() * spacing * 0.866  # a hexagonal pattern, then shaken
        shake = rng.uniform(-0.38, 0.38, (2, x.size)) * spacing
        self.points = np.stack([x, y]) + shake
        self.phases = rng.uniform(0, 2 * np.pi, (2, x.size))
        self.paces = rng.uniform(0.03, 0.09, (2, x.size))  # radians per mm of level
        widths = rng.uniform(0.55, 1.35, (x.size, x.size))
        tight = rng.uniform(0, 1, widths.shape) < 0.12  # walls that touch: no visible fluid
        self.widths = np.triu(np.where(tight, 0.0, widths))
        self.widths += self.widths.T
        self.bend = (Texture(rng, 6, (14.0, 45.0)), Texture(rng, 6, (14.0, 45.0)))
        self.midline = rng.uniform(0, 2 * np.pi, 4)

    def points_at(self, level: float) -> Array:
        """Positions (2, n) of the gyri: they sway by up to 2 mm as the level changes."""
        return snap(self.points + 2.0 * np.sin(self.phases + self.paces * level), 1024)


def fold_cortex(
    head: Head, folds: Folds, surfaces: Surfaces, grid: Grid, level: float, below_pia: Array
) -> Cortex:
    """Carve fissures and sulci into the brain of one level.

    Parameters
    ----------
    head, folds, surfaces, grid, level
        What to draw, and where.
    below_pia : (H, W) float64
        Depth of each pixel under the brain's smooth outline, mm.

    Returns
    -------
    Cortex
    """
    a = head.anatomy
    midline, fissure = midline_fissure(
        folds, surfaces, grid, level, a.sulcus_half_width, a.touching
    )
    medial = np.where(fissure >= 0, np.abs(midline), FAR)
    depth = np.minimum(below_pia, medial)

    # Distances to sulcal walls are measured in a bent plane, so that the walls meander.
    bent_x = midline + 1.3 * folds.bend[0].at(grid, level)
    bent_y = grid.y + 1.3 * folds.bend[1].at(grid, level)
    points = folds.points_at(level)
    side = np.where(midline >= 0, 1, -1)
    point_depth = np.minimum(
        surfaces.depth(surfaces.pia, points[0], points[1]),
        sample(medial, grid, points[0], points[1]),
    )
    # Below the callosum's top the nuclei and ventricles fill the middle; sulci stay out.
    middle = (points[0] / 34) ** 2 + (points[1] / 50) ** 2 < surfaces.scale**2 * ramp(level, 33, 27)
    point_depth = np.where(middle, FAR, point_depth)
    used = np.nonzero(point_depth > 0.3 * a.gyrus)[0]
    mosaic = Mosaic(grid, bent_x, bent_y, side, points[:, used], 1.5 * a.gyrus)
    opening = ramp(level, 26, 12)
    lateral = sylvian_distance(surfaces, grid, opening)
    core = point_depth[used] > CORE_DEPTH
    borders = mosaic.borders((lateral > 3) & (depth > 1.5)) * min(grid.spacing_mm)
    stalks = grow_stalks(borders, point_depth[used], mosaic.point_side, core)
    walls, widths = mosaic.walls(stalks | np.outer(core, core), folds.widths[np.ix_(used, used)])
    clear_stalks(walls, grid, (bent_x, bent_y), points[:, used], stalks)
    walls = np.where(lateral < 3.5, FAR, walls)  # no sulcus runs into the lateral fissure

    # Sulci gape at the surface and narrow with depth.
    gape = (
        0.62 + 0.38 * np.exp(-np.maximum(depth, 0) / 10) + 0.7 * np.exp(-np.maximum(depth, 0) / 2)
    )
    fluid = walls < snap(a.sulcus_half_width * widths * gape)
    fluid |= medial < fissure
    lines = (walls < 0.25) | (medial < 0.25)
    fluid |= lateral < a.sulcus_half_width
    cuts = drop_specks(fluid | lines, 8.0 / (grid.spacing_mm[0] * grid.spacing_mm[1]))
    tissue = ((below_pia > 0) & ~(fluid & cuts)).astype(np.uint8)
    tissue = drop_slivers(round_crowns(tissue, below_pia, grid))
    falx = (np.abs(midline) < 0.36) & (fissure > 0) & (below_pia < 50)
    return Cortex(tissue, distance_inside(tissue & ~cuts, grid.spacing_mm), falx)


def midline_fissure(
    folds: Folds, surfaces: Surfaces, grid: Grid, level: float, half_width: float, touching: float
) -> tuple[Array, Array]:
    """Signed distance to the midline and half width of the fissure there (mm); -1 = no fissure.

    At low levels the corpus callosum and what lies below it keep the middle closed.
    """
    q = folds.midline
    y = grid.y
    x = grid.x - snap(0.6 * np.sin(y / 26 + q[0]) + 0.4 * np.sin(y / 11 + q[1]))
    above = ramp(level, 27, 33)
    rise = min(max(level, 0.0), 26.0) - 4
    front = -(36 - 0.55 * rise) * surfaces.scale * (1 - above)
    back = (42 - 0.50 * rise) * surfaces.scale * (1 - above)
    to_rim = np.minimum(y + surfaces.pia[len(surfaces.pia) // 2], surfaces.pia[0] - y)
    width = half_width * (
        0.6
        + 0.4 * np.sin(y / 4.6 + q[2]) * np.sin(y / 11 + q[3])
        + 0.9 * np.exp(-np.abs(to_rim) / 5)
    )
    kissing = (np.sin(y / 7.5 + q[1] + 0.06 * level) > 1.5 - 1.2 * touching) & (to_rim > 16)
    width = np.where(kissing, 0.0, np.maximum(width, 0.42))
    return x, snap(np.where((y < front) | (y > back), width, -1.0))


class Mosaic:
    """The nearest point of every pixel, each hemisphere for itself."""

    def __init__(
        self, grid: Grid, x: Array, y: Array, side: NDArray[np.int_], points: Array, reach: float
    ) -> None:
        self.x, self.y, self.side, self.points = x, y, side, points
        self.point_side = np.where(points[0] >= 0, 1, -1)
        self.boxes = [grid.box(px, py, reach) for px, py in points.T]
        self.squared = np.full(x.shape, FAR * FAR)
        self.cell = np.full(x.shape, -1, np.int32)
        for j, box in enumerate(self.boxes):
            squared = self._squared_distance(j)
            nearer = (squared < self.squared[box]) & (side[box] == self.point_side[j])
            self.squared[box][nearer] = squared[nearer]
            self.cell[box][nearer] = j

    def _squared_distance(self, j: int) -> Array:
        box = self.boxes[j]
        dx, dy = self.x[box] - self.points[0, j], self.y[box] - self.points[1, j]
        squared: Array = dx * dx + dy * dy
        return squared

    def borders(self, counted: NDArray[np.bool_]) -> NDArray[np.int_]:
        """Pixels along the border between each pair of cells, (n, n), where `counted` is true."""
        n = self.points.shape[1]
        lengths = np.zeros((n, n), int)
        cell = np.where(counted, self.cell, -1)
        for a, b in ((cell[1:], cell[:-1]), (cell[:, 1:], cell[:, :-1])):
            meet = (a != b) & (a >= 0) & (b >= 0)
            lengths += np.bincount(a[meet] * n + b[meet], minlength=n * n).reshape(n, n)
        return lengths + lengths.T

    def walls(self, open_border: NDArray[np.bool_], widths: Array) -> tuple[Array, Array]:
        """Distance (mm) of each pixel to the nearest closed border of its cell, and its width."""
        gaps = self.points[:, :, None] - self.points[:, None, :]
        apart = 2 * np.sqrt((gaps**2).sum(axis=0)) + np.where(open_border, 1e-9, 0.0)
        nearest, width = np.full(self.x.shape, FAR), np.zeros(self.x.shape)
        for j, box in enumerate(self.boxes):
            cell = self.cell[box]
            closed = (~open_border[j])[cell] & (cell >= 0) & (self.side[box] == self.point_side[j])
            to_border = np.where(
                closed, (self._squared_distance(j) - self.squared[box]) / apart[j][cell], FAR
            )
            nearer = to_border < nearest[box]
            nearest[box][nearer] = to_border[nearer]
            width[box][nearer] = widths[j][cell[nearer]]
        return snap(nearest), width


def grow_stalks(
    lengths: Array, depth: Array, side: NDArray[np.int_], core: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Decide which borders stay open: a tree from each hemisphere's deepest cell outwards.

    Parameters
    ----------
    lengths : (n, n) float64
        Length of the border between each pair of cells, mm.
    depth : (n,) float64
        Depth of each cell below the surface, mm.
    side : (n,) int
        Hemisphere of each cell, -1 or 1.
    core : (n,) bool
        Cells that no sulcus reaches.

    Returns
    -------
    (n, n) bool, symmetrical
    """
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


def clear_stalks(
    walls: Array, grid: Grid, bent: tuple[Array, Array], points: Array, joined: NDArray[np.bool_]
) -> None:
    """Take the walls out of a corridor between joined points, lest two sulci pinch a stalk off."""
    for i, j in np.argwhere(np.triu(joined, 1)):
        start, end = (points[0, i], points[1, i]), (points[0, j], points[1, j])
        reach = 0.5 * float(np.hypot(end[0] - start[0], end[1] - start[1])) + 5
        box = grid.box((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, reach)
        corridor = segment_distance(bent[0][box], bent[1][box], start, end) < STALK_HALF_WIDTH
        walls[box][corridor] = FAR


def sylvian_distance(surfaces: Surfaces, grid: Grid, opening: float) -> Array:
    """Distance (mm) to the lateral fissures and to the insula's cleft behind each."""
    distance = np.full(grid.x.shape, FAR)
    if not opening:
        return distance
    scale = surfaces.scale
    for side in (-1, 1):
        rim = surfaces.point(surfaces.pia, side * SYLVIAN_ANGLE)
        cleft = [(side * x * scale, y * scale * opening) for x, y in INSULA]
        bend = (0.55 * rim[0] + 0.45 * cleft[1][0], 0.5 * rim[1] + 0.5 * cleft[1][1] + 2.0)
        for start, end in ((rim, bend), (bend, cleft[1]), cleft[:2], cleft[1:]):
            distance = np.minimum(distance, segment_distance(grid.x, grid.y, start, end))
    return snap(distance)


def segment_distance(
    x: Array, y: Array, start: tuple[float, float], end: tuple[float, float]
) -> Array:
    """Distance (mm) of every pixel to a straight segment."""
    along = (end[0] - start[0], end[1] - start[1])
    x, y = x - start[0], y - start[1]
    share = np.clip((x * along[0] + y * along[1]) / (along[0] ** 2 + along[1] ** 2), 0, 1)
    distance: Array = np.sqrt((x - share * along[0]) ** 2 + (y - share * along[1]) ** 2)
    return distance


def sample(field: Array, grid: Grid, x: Array, y: Array) -> Array:
    """Value of a field at points (mm); FAR outside the grid."""
    right, down = grid.cos * x - grid.sin * y, grid.sin * x + grid.cos * y
    row, column = np.searchsorted(grid.down, down), np.searchsorted(grid.right, right)
    inside = (row > 0) & (row < grid.down.size) & (column > 0) & (column < grid.right.size)
    values = np.full(x.shape, FAR)
    values[inside] = field[row[inside], column[inside]]
    return values


def round_crowns(tissue: NDArray[np.uint8], below_pia: Array, grid: Grid) -> NDArray[np.uint8]:
    """Round the gyri where they meet the surface (a morphological opening, 1.3 mm)."""
    height, width = (2 * round(1.3 / step) + 1 for step in grid.spacing_mm)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))
    opened = cv2.morphologyEx(tissue, cv2.MORPH_OPEN, kernel)
    return np.where(below_pia < 3.0, opened, tissue)


def drop_slivers(tissue: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn pieces that crossing sulci cut off into fluid; both hemispheres stay."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(tissue, connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    tissue = (area > 0.2 * area.max()).astype(np.uint8)[labels]
    return tissue


def drop_specks(cuts: NDArray[np.bool_], least_pixels: float) -> NDArray[np.bool_]:
    """Forget the crumbs of sulci that a stalk's corridor left behind."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cuts.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_pixels
    keep[0] = False
    kept: NDArray[np.bool_] = keep[labels]
    return kept


def distance_inside(mask: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> Array:
    """Distance (mm) of each pixel of a mask to the nearest pixel outside it, 0 outside.

    OpenCV's exact distance transform varies in its last bits from run to run, but a squared
    distance is a whole number of pixels: rounding makes it exact. Oblong pixels are split first.
    """
    step = min(spacing_mm)
    rows, columns = (
        ((np.arange(round(n * s / step)) + 0.5) * (step / s)).astype(int).clip(0, max(n - 1, 0))
        for n, s in zip(mask.shape, spacing_mm, strict=True)
    )
    square = np.ascontiguousarray(mask[np.ix_(rows, columns)])
    distance = cv2.distanceTransform(square, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    distance = np.sqrt(np.rint(distance * distance)) * step
    back = [
        ((np.arange(n) + 0.5) * (s / step)).astype(int).clip(0, max(m - 1, 0))
        for n, s, m in zip(mask.shape, spacing_mm, square.shape, strict=True)
    ]
    return snap(distance[np.ix_(back[0], back[1])], 65536)
