"""The shape of the head: smooth outlines as radii over the angle, one set per level, in mm.

The origin is inside the brain, x to the image's right, y to the back of the head. Angles are from
the front, positive to the right. A *level* is a height; the head is widest near 8, closed at 104.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

Array = NDArray[np.floating]

N_ANGLES = 8192  # rows of the angle tables; a step is 0.07 mm along the skull
GYRUS = 11.5  # mm; mean distance between neighbouring gyri
FINE = 65536  # steps in a mm, of outlines and places
SQUARENESS = 2.15  # exponent of the superellipse; 2 is an ellipse
FRONTAL_NARROWING = 0.055  # fraction of the width lost at the front
WIDEST_LEVEL, HALF_HEIGHT = 8.0, 96.0  # mm; the second from there to the vertex
TEMPORALIS = 8.0  # mm; extra muscle at the temples, low levels only
MOST_FAT, MOST_SKIN = 6.0, 2.5  # mm; whatever a thicker scalp has more is muscle
ANGLES: Array = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES) - np.pi


def snap(values: Array, steps_per_unit: int = 4096) -> Array:
    """Round to a grid, so that the last bits of sin, exp and log cannot reach the final arrays."""
    return np.round(values * steps_per_unit) / steps_per_unit


def ramp(value: float, start: float, end: float) -> float:
    """Rise linearly from 0 at `start` to 1 at `end` (which may be the smaller of the two)."""
    return min(max((value - start) / (end - start), 0.0), 1.0)


def bump(centre: float, width: float) -> Array:
    """Gaussian bump over the angle table; centre and width in radians."""
    away = (ANGLES - centre + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(np.exp(-0.5 * (away / width) ** 2))


@dataclass(frozen=True)
class Recipe:
    """What may differ between heads, tuned until the published figures came out; mm at the widest.

    Signals are in the arbitrary units of `skullnb.phantom.signal`.
    """

    half_length: float = 92.64  # outer skull, front to back
    half_width: float = 76.81  # outer skull, side to side
    gap: float = 4.5906  # mean distance from the brain's surface to the outer skull
    gap_sd: float = 0.896  # its standard deviation along the outline
    csf_share: float = 0.20  # share of the gap that is fluid; the rest is bone
    scalp: float = 7.807  # mean thickness of skin, fat and fascia
    sulcus_half_width: float = 1.463
    ventricles: float = 1.0  # scale factor (no unit)
    touching: float = 1.0  # share of the upper medial surfaces in contact; 0 = hemispheres apart
    bridge: float = 0.0  # half width of a bright corridor from brain to scalp; 0 = none
    rotation: float = 2.0  # degrees, in the image plane
    offset_right: float = 3.0  # of the head's centre from the frame's centre
    offset_down: float = -2.0
    contrast: float = 1.0  # below 1, every tissue is pulled towards 22
    coil: float = 0.30  # brightening from the centre to the rim, fraction
    bias: float = 0.05  # further smooth shading over the head, fraction
    noise: float = 1.930  # standard deviation of each channel
    otsu_level: int | None = 23  # where bright vessels put Otsu's threshold; None: no vessels
    shape: tuple[int, int] = (768, 624)  # rows and columns of a slice
    spacing_mm: tuple[float, float] = (0.375, 0.375)


def standardise(values: Array) -> Array:
    """Shift and scale to zero mean and unit standard deviation."""
    return np.asarray((values - values.mean()) / values.std())


class Ripple:
    """A smooth random function of the angle that changes slowly with the level."""

    def __init__(self, rng: Generator, orders: range, drift: float, decay: float) -> None:
        self.orders = np.array(orders)
        self.amplitudes = rng.uniform(0.4, 1.0, len(orders)) / (1 + (self.orders / decay) ** 2)
        self.phases = rng.uniform(0, 2 * np.pi, len(orders))
        self.drifts = rng.uniform(-drift, drift, len(orders))  # radians per mm of level

    def at(self, level: float) -> Array:
        """Values over the angle table, zero mean and unit standard deviation."""
        phases = self.phases + self.drifts * level
        values = np.zeros(N_ANGLES)
        for order, amplitude, phase in zip(self.orders, self.amplitudes, phases, strict=True):
            values += amplitude * np.cos(order * ANGLES + phase)
        return standardise(values)


def angle_index(angle: Array) -> NDArray[np.intp]:
    """Nearest row of the angle tables."""
    return np.round((angle + np.pi) * (N_ANGLES / (2 * np.pi))).astype(np.intp) % N_ANGLES


class Texture:
    """A smooth random field over the plane: a few plane waves whose phases drift with the level."""

    def __init__(self, rng: Generator, n_waves: int, lengths: tuple[float, float]) -> None:
        lengths_mm = rng.uniform(*lengths, n_waves)
        directions = rng.uniform(0, 2 * np.pi, n_waves)
        self.kx = 2 * np.pi / lengths_mm * np.cos(directions)
        self.ky = 2 * np.pi / lengths_mm * np.sin(directions)
        self.phases = rng.uniform(0, 2 * np.pi, n_waves)
        self.drifts = rng.uniform(-0.05, 0.05, n_waves)  # radians per mm of level

    def at(self, section: "Section") -> Array:
        """Field over the section, zero mean and about unit standard deviation."""
        along_rows = np.multiply.outer(self.kx * section.sin + self.ky * section.cos, section.down)
        along_columns = (
            np.multiply.outer(self.kx * section.cos - self.ky * section.sin, section.right)
            + (self.phases + self.drifts * section.level)[:, None]
        )
        # cos(a + b) from products, much cheaper than a cosine a pixel; `@` would take all cores
        total = np.einsum("kr,kc->rc", np.cos(along_rows), np.cos(along_columns))
        total -= np.einsum("kr,kc->rc", np.sin(along_rows), np.sin(along_columns))
        return snap(total * np.sqrt(2 / len(self.phases)))


class Head:
    """All random numbers of one head, which stay the same over its levels, drawn in this order."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        rng = Generator(PCG64(seed))
        self.skull_ripple = Ripple(rng, range(2, 8), drift=0.008, decay=2.0)
        self.gap_ripple = Ripple(rng, range(1, 13), drift=0.03, decay=6.0)
        self.scalp_ripple = Ripple(rng, range(2, 9), drift=0.02, decay=4.0)
        self.fat_ripple = Ripple(rng, range(3, 40), drift=0.04, decay=12.0)

        n = int(2 * 110 / GYRUS)
        column, row = np.meshgrid(np.arange(n) - n / 2, np.arange(int(n * 1.16)) - n * 0.58)
        x = (column + 0.5 * (np.arange(len(row)) % 2)[:, None]).ravel() * GYRUS
        y = row.ravel() * GYRUS * 0.866  # a hexagonal pattern, then shaken
        self.gyri = np.stack([x, y]) + rng.uniform(-0.38, 0.38, (2, x.size)) * GYRUS
        self.gyrus_phases = rng.uniform(0, 2 * np.pi, (2, x.size))
        self.gyrus_paces = rng.uniform(0.03, 0.09, (2, x.size))  # radians per mm of level
        widths = rng.uniform(0.55, 1.35, (x.size, x.size))
        tight = rng.uniform(0, 1, widths.shape) < 0.12  # walls that touch: no visible fluid
        self.wall_widths = np.triu(np.where(tight, 0.0, widths))
        self.wall_widths += self.wall_widths.T
        self.fold_bend = (Texture(rng, 6, (14.0, 45.0)), Texture(rng, 6, (14.0, 45.0)))
        self.midline = rng.uniform(0, 2 * np.pi, 4)

        # What keeps tissue from looking flat.
        self.brain = Texture(rng, 8, (18.0, 120.0))
        self.deep_bend = (Texture(rng, 5, (60.0, 200.0)), Texture(rng, 5, (60.0, 200.0)))
        self.lobules = Texture(rng, 8, (5.0, 11.0))
        self.patches = Texture(rng, 5, (30.0, 90.0))

        self.shading = rng.uniform(-1, 1, 4)
        around = np.deg2rad([-148, -104, -68, 0, 68, 104, 148])
        self.vessel_angles = around + rng.uniform(-0.06, 0.06, 7)
        self.vessel_drifts = rng.uniform(-0.004, 0.004, 7)  # radians per mm of level
        self.vessel_heights = rng.uniform(0.35, 0.75, 7)  # share of the way from muscle to skin
        self.vessel_radii = rng.uniform(1.4, 2.1, 7)  # pixels


class Surfaces:
    """The outlines of one level and what lies between: radii and thicknesses over the angle, mm."""

    def __init__(self, head: Head, level: float) -> None:
        a = head.recipe
        cos, sin = np.cos(ANGLES), np.sin(ANGLES)
        scale = float(np.sqrt(max(0.05, 1 - ((level - WIDEST_LEVEL) / HALF_HEIGHT) ** 2)))
        length = a.half_length * scale
        width = a.half_width * scale * (1 - FRONTAL_NARROWING * cos)
        n = SQUARENESS
        skull = (np.abs(cos / length) ** n + np.abs(sin / width) ** n) ** (-1 / n)
        skull = skull * (1 + 0.008 * head.skull_ripple.at(level))
        slope = (np.roll(skull, -1) - np.roll(skull, 1)) * (N_ANGLES / (4 * np.pi))
        slant = 1 / np.sqrt(1 + (slope / skull) ** 2)

        low = ramp(level, 36, 6)  # 1 at the temples, 0 above them
        front, back, temples = bump(0, 0.45), bump(np.pi, 0.4), bump(1.35, 0.45) + bump(-1.35, 0.45)
        thick: Array = 1.1 * front + 1.3 * back - (0.35 + 0.65 * low) * temples
        thick = standardise(thick + 0.9 * head.gap_ripple.at(level))
        gap: Array = np.maximum(a.gap + a.gap_sd * standardise(np.tanh(thick)), 1.2)
        # Near the vertex a plane meets the skull obliquely, so the gap looks wider.
        gap = gap * (1 + 0.35 * (1 / scale - 1))
        bone = gap * (1 - a.csf_share)

        shape = 1 + 0.12 * back - 0.12 * front + 0.08 * head.scalp_ripple.at(level)
        scalp = a.scalp * shape
        fat = 0.40 + 0.10 * back - 0.06 * temples + 0.10 * head.fat_ripple.at(level)
        muscle = TEMPORALIS * low * (bump(1.02, 0.36) + bump(-1.02, 0.36))
        self.scale = scale  # size of this level relative to the widest
        self.skin = snap(skull + (scalp + muscle) / slant, FINE)  # outer surface
        self.skull = snap(skull, FINE)  # outer surface: the reference mask's edge
        self.inner_skull = snap(skull - bone / slant, FINE)
        self.pia = snap(skull - gap / slant, FINE)  # the brain's surface
        # Cosine between radius and surface normal; turns radial into true distances.
        self.slant = snap(slant, FINE)
        self.bone, self.muscle = snap(bone, FINE), snap(muscle, FINE)
        self.scalp = snap(scalp, FINE)  # without the temporalis muscle
        self.fat = snap(np.minimum(scalp * np.clip(fat, 0.15, 0.62), MOST_FAT), FINE)  # part of it

    def point(self, radius: Array, angle: float) -> tuple[float, float]:
        """Point (x, y) where a ray at `angle` meets an outline."""
        r = float(radius[angle_index(np.array(angle))])
        return r * float(np.sin(angle)), -r * float(np.cos(angle))

    def below(self, radius: Array, x: Array, y: Array) -> Array:
        """Distance of points below an outline; negative outside it."""
        index = angle_index(np.arctan2(x, -y))
        return (radius.take(index) - np.sqrt(x * x + y * y)) * self.slant.take(index)


class Section:
    """The part of the frame that holds the head at one level; arrays are (H, W) over that part."""

    def __init__(self, head: Head, level: float) -> None:
        self.head, self.recipe, self.level = head, head.recipe, level
        self.spacing_mm, self.surfaces = head.recipe.spacing_mm, Surfaces(head, level)
        reach = float(self.surfaces.skin.max()) + 6
        centre = (self.recipe.offset_down, self.recipe.offset_right)
        axes, parts = [], []
        for size, step, offset in zip(self.recipe.shape, self.spacing_mm, centre, strict=True):
            mm = (np.arange(size) - (size - 1) / 2) * step - offset
            first, last = np.searchsorted(mm, [-reach, reach])
            axes.append(mm[first:last])
            parts.append(slice(int(first), int(last)))
        self.window = (parts[0], parts[1])  # of this part in the frame
        self.down, self.right = axes  # mm from the head's centre, along the frame
        turn = np.deg2rad(self.recipe.rotation)
        self.cos, self.sin = float(np.cos(turn)), float(np.sin(turn))
        self.x = snap(np.add.outer(self.sin * self.down, self.cos * self.right), FINE)
        self.y = snap(np.add.outer(self.cos * self.down, -self.sin * self.right), FINE)
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
