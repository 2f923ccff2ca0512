"""One level of a head on the pixel grid of a frame: where each pixel lies, in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skullnb.phantom.anatomy import Array, Head, angle_index, snap

# Square; chosen so that the drawn head meets the article's figures, and not measured on any head.
BUILT_IN_SPACING_MM = (0.375, 0.375)


@dataclass(frozen=True)
class Frame:
    """The image frame: (rows, columns) and mm per pixel (row, column)."""

    shape: tuple[int, int] = (768, 624)
    spacing_mm: tuple[float, float] = BUILT_IN_SPACING_MM


class Section:
    """The part of the frame that holds the head at one level; arrays are (H, W) over that part."""

    def __init__(self, head: Head, frame: Frame, level: float) -> None:
        self.head, self.level, self.spacing_mm = head, level, frame.spacing_mm
        self.surfaces = head.surfaces(level)
        reach = float(self.surfaces.skin.max()) + 6
        centre = (head.anatomy.offset_down, head.anatomy.offset_right)
        axes, parts = [], []
        for size, step, offset in zip(frame.shape, frame.spacing_mm, centre, strict=True):
            mm = (np.arange(size) - (size - 1) / 2) * step - offset
            first, last = np.searchsorted(mm, [-reach, reach])
            axes.append(mm[first:last])
            parts.append(slice(int(first), int(last)))
        self.window = (parts[0], parts[1])  # of this part in the frame
        self.down, self.right = axes  # mm from the head's centre, along the frame
        turn = np.deg2rad(head.anatomy.rotation)
        self.cos, self.sin = float(np.cos(turn)), float(np.sin(turn))
        self.x = snap(np.add.outer(self.sin * self.down, self.cos * self.right), 65536)
        self.y = snap(np.add.outer(self.cos * self.down, -self.sin * self.right), 65536)
        self.radius = np.sqrt(self.x**2 + self.y**2)
        self.angle = angle_index(np.arctan2(self.x, -self.y))

    def around(self, table: Array) -> Array:
        """Look up a table over the angle for every pixel."""
        return table.take(self.angle)

    def below(self, outline: Array) -> Array:
        """Depth of every pixel below an outline, mm; negative outside it."""
        return (self.around(outline) - self.radius) * self.around(self.surfaces.slant)

    def in_frame(self, x: float, y: float) -> tuple[float, float]:
        """Turn a point of the head into mm (down, right) along the frame."""
        return self.sin * x + self.cos * y, self.cos * x - self.sin * y

    def box(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """Rows and columns within `reach` mm of a point of the head."""
        down, right = self.in_frame(x, y)
        rows = np.searchsorted(self.down, [down - reach, down + reach])
        columns = np.searchsorted(self.right, [right - reach, right + reach])
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))


class Texture:
    """A smooth random field over the plane: a few plane waves whose phases drift with the level."""

    def __init__(
        self, rng: np.random.Generator, n_waves: int, lengths: tuple[float, float]
    ) -> None:
        lengths_mm = rng.uniform(*lengths, n_waves)
        directions = rng.uniform(0, 2 * np.pi, n_waves)
        self.kx = 2 * np.pi / lengths_mm * np.cos(directions)
        self.ky = 2 * np.pi / lengths_mm * np.sin(directions)
        self.phases = rng.uniform(0, 2 * np.pi, n_waves)
        self.drifts = rng.uniform(-0.05, 0.05, n_waves)  # radians per mm of level

    def at(self, section: Section) -> Array:
        """Field over the section, zero mean and about unit standard deviation."""
        along_rows = np.multiply.outer(self.kx * section.sin + self.ky * section.cos, section.down)
        along_columns = (
            np.multiply.outer(self.kx * section.cos - self.ky * section.sin, section.right)
            + (self.phases + self.drifts * section.level)[:, None]
        )
        # cos(a + b) from outer products: much cheaper than a cosine a pixel
        total = np.zeros(section.x.shape)
        for a, b in zip(along_rows, along_columns, strict=True):
            total += np.outer(np.cos(a), np.cos(b)) - np.outer(np.sin(a), np.sin(b))
        return snap(total * np.sqrt(2 / len(self.phases)))
