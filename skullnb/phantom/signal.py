"""What the scanner makes of a head: tissue, coil, point spread, noise; in arbitrary units.

Intermediate arrays are snapped to a grid of 1/4096 and filtered with weights of 1/4096, so every
sum is exact in whatever order a library adds; the noise uses only the raw words of PCG64.
"""

from typing import NamedTuple

import cv2
import numpy as np

from skullnb.phantom.shape import MOST_SKIN, N_ANGLES, Array, Section, ramp, snap
from skullnb.pipeline import normalise, otsu_threshold

BRIDGE_ANGLE = np.deg2rad(118)


# Signal of each tissue before the coil. Septa are fibrous walls between the lobules of the fat, the
# fascia is the sheet under it, the pericranium the skin of the bone, the sinus the sagittal one.
SKIN, FAT, SEPTUM, FASCIA, MUSCLE, PERICRANIUM = 40.0, 78.0, 52.0, 30.0, 33.0, 9.0
BONE, MARROW, DURA, SINUS, FALX = 2.0, 14.0, 15.0, 12.0, 16.0
FLUID, GREY, WHITE, PLEXUS, BRIDGE = 8.0, 33.0, 47.0, 24.0, 36.0
CORTEX = 2.7  # mm; thickness of the grey ribbon
N_CHANNELS = 6  # combined as root of the sum of squares, so no pixel is zero


class DeepStructure(NamedTuple):
    """An ellipse, mirrored in the midline. Lengths in mm at the widest level, angles in degrees."""

    signal: float
    x: float
    y: float
    radii: tuple[float, float]
    angle: float
    levels: tuple[float, float, float]  # starts at, begins to fade, is gone
    rise: tuple[float, float] = (0.0, 0.0)  # shift of x and y per mm of level


DEEP_STRUCTURES = (  # one is painted over the other
    DeepStructure(38.0, 25.5, -5, (5.6, 17.5), 14, (-99, 13, 21)),  # putamen
    DeepStructure(41.0, 19.5, -1, (4.0, 9.5), 20, (-99, 11, 19)),  # pallidum
    DeepStructure(37.0, 11.0, 16, (8.5, 14.0), -24, (-99, 13, 21)),  # thalamus
    DeepStructure(36.0, 11.5, -22, (4.4, 9.5), 18, (-99, 26, 30), (0.22, 0.5)),  # caudate
    DeepStructure(FLUID, 6.0, -25, (3.6, 10.5), 20, (-99, 23, 26), (0.22, 0.55)),  # frontal horn
    DeepStructure(FLUID, 9.5, 2, (3.4, 23.0), -15, (8, 27, 31), (0.14, 0.0)),  # ventricle's body
    DeepStructure(FLUID, 24.0, 27, (4.6, 12.5), -26, (-99, 25, 29), (-0.18, 0.0)),  # atrium
    DeepStructure(FLUID, 0.0, 9, (1.9, 12.5), 0, (-99, 11, 13)),  # third ventricle
    DeepStructure(PLEXUS, 23.6, 25, (1.7, 4.2), -26, (-99, 20, 24), (-0.18, 0.0)),
)


def soft(distance: Array, width: float) -> Array:
    """Share of a pixel inside an edge: 0 to 1 over `2 * width` mm around distance 0."""
    return np.asarray(np.clip(0.5 + distance / (2 * width), 0, 1))


def blend(image: Array, intensity: Array | float, share: Array) -> Array:
    """Paint `intensity` over the image where `share` is 1, in part where it is less."""
    return image + (intensity - image) * share


def paint_scalp_and_skull(section: Section) -> Array:
    """Paint from the skin inwards to the fluid under the skull, (H, W) float64, a.u."""
    surfaces, edge = section.surfaces, 0.5 * min(section.spacing_mm)
    below_skull = section.below(surfaces.skull)
    below_inner = section.below(surfaces.inner_skull)
    scalp, fat = section.around(surfaces.scalp), section.around(surfaces.fat)
    bone = section.around(surfaces.bone)
    below_skin = below_skull + scalp + section.around(surfaces.muscle)
    skin = np.minimum(0.25 * scalp, MOST_SKIN)
    lobules, patches = section.head.lobules.at(section), section.head.patches.at(section)

    image = SKIN * soft(below_skin, edge)
    septa = np.clip(1 - 3.0 * np.abs(lobules), 0, 1)
    fat_signal = FAT * (1 + 0.06 * patches) + (SEPTUM - FAT) * septa
    image = blend(image, fat_signal, soft(below_skin - skin, 0.3))
    image = blend(image, FASCIA, soft(below_skin - skin - fat, 0.35))
    muscle_signal = MUSCLE * (1 + 0.05 * lobules + 0.05 * patches)
    image = blend(image, muscle_signal, soft(below_skin - skin - fat - 0.9, 0.3))
    image = blend(image, PERICRANIUM, soft(below_skull + 0.75, 0.3))
    image = blend(image, BONE, soft(below_skull, edge))
    half_marrow = np.maximum(0.5 * (bone - 1.8), 0)
    in_marrow = soft(half_marrow - np.abs(below_skull - 0.52 * bone), 0.35)
    marrow = MARROW * (1 + 0.15 * lobules + 0.10 * patches)
    image = blend(image, marrow, in_marrow * np.clip(half_marrow / 0.6, 0, 1))
    image = blend(image, FLUID, soft(below_inner, 0.3))
    image = blend(image, DURA, 0.6 * np.exp(-0.5 * (below_inner / 0.35) ** 2))
    behind, ahead = surfaces.inner_skull[0] - 1, 1 - surfaces.inner_skull[N_ANGLES // 2]
    for y, radius in ((behind, 3.6), (ahead, 2.2)):
        inside = soft(radius - np.sqrt(section.x**2 + (section.y - y) ** 2), 0.5)
        image = blend(image, SINUS, inside * (below_inner > 0))
    return image


def paint_brain(section: Section, depth: Array) -> Array:
    """Grey ribbon, white matter, deep grey and ventricles, (H, W) float64, a.u."""
    field = section.head.brain.at(section)
    into_white = depth - CORTEX * (1 + 0.10 * field)
    brain = blend(np.full(field.shape, GREY), WHITE, soft(into_white, 0.45))
    scale, level = section.surfaces.scale, section.level
    bent_x = (section.x + 0.7 * section.head.deep_bend[0].at(section)) / scale
    bent_y = (section.y + 0.7 * section.head.deep_bend[1].at(section)) / scale
    for deep in DEEP_STRUCTURES:
        size = section.recipe.ventricles if deep.signal == FLUID else 1.0
        edge = 1.0 if deep.signal > GREY else 0.5
        start, fading, gone = deep.levels
        share = ramp(level, gone, fading) if level >= start else 0.0
        x, y = deep.x + deep.rise[0] * level, deep.y + deep.rise[1] * level
        across, along = (radius * size for radius in deep.radii)
        for side in (-1, 1) if x else (1,):
            box = section.box(side * x * scale, y * scale, max(across, along) + 5)
            turn = np.deg2rad(side * deep.angle)
            dx, dy = bent_x[box] - side * x, bent_y[box] - y
            u = (np.cos(turn) * dx + np.sin(turn) * dy) / across
            v = (np.cos(turn) * dy - np.sin(turn) * dx) / along
            inside = (1 - np.sqrt(u**2 + v**2)) * min(across, along)
            brain[box] = blend(brain[box], deep.signal, share * soft(inside, edge))
    return brain * (1 + 0.012 * field)


def paint_bridge(section: Section, image: Array) -> Array:
    """Paint a bright corridor from the scalp through the skull to the brain, where asked for."""
    half_width = section.recipe.bridge
    if not half_width:
        return image
    cos, sin = np.cos(BRIDGE_ANGLE), np.sin(BRIDGE_ANGLE)
    towards = section.x * sin - section.y * cos > 0
    across = np.abs(section.x * cos + section.y * sin)
    outside, inside = section.below(section.surfaces.skull), section.below(section.surfaces.pia)
    through = (outside > -3) & (inside < 4)
    return blend(image, BRIDGE, soft(half_width - across, 0.5) * (towards & through))


def receive(signal: Array, section: Section) -> Array:
    """Apply the coil's sensitivity and a Gaussian point spread, its weights rounded to 1/4096."""
    x, y, s = section.x / 80, section.y / 80, section.head.shading
    to_rim = section.radius / section.around(section.surfaces.skull)
    profile = 1 + section.recipe.coil * (np.minimum(to_rim, 1.25) ** 2 - 0.55)
    shading = s[0] * x + s[1] * y + 0.7 * (s[2] * x * y + s[3] * (x * x - y * y))
    received = snap(signal * profile * (1 + section.recipe.bias * shading))
    weights = np.exp(-0.5 * np.arange(-3.0, 4) ** 2)  # a standard deviation of one pixel
    weights = snap(weights / weights.sum())
    weights[3] += 1 - weights.sum()  # exactly 1 in all
    blurred = cv2.sepFilter2D(received, -1, weights, weights, borderType=cv2.BORDER_REPLICATE)
    return snap(blurred.astype(np.float64))


def vessel_profile(section: Section) -> Array:
    """Bright scalp vessels as weights, (H, W) of the whole frame; 1 at each vessel's centre."""
    surfaces, reach = section.surfaces, 7  # pixels
    frame = np.zeros(section.recipe.shape)
    profile = frame[section.window]
    offset = np.arange(-reach, reach + 1)
    head = section.head
    at = head.vessel_angles + head.vessel_drifts * section.level
    for angle, height, radius in zip(at, head.vessel_heights, head.vessel_radii, strict=True):
        depth = surfaces.muscle + 2.1 + height * np.maximum(surfaces.scalp - 4.2, 0.5)
        centre = surfaces.point(surfaces.skull + depth / surfaces.slant, angle)
        down, right = section.in_frame(*centre)
        row, column = np.searchsorted(section.down, down), np.searchsorted(section.right, right)
        box = profile[row - reach : row + reach + 1, column - reach : column + reach + 1]
        if min(row, column) < reach or box.shape != (offset.size, offset.size):
            continue  # cut by the frame
        spot = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / radius**2)
        box[:] = np.maximum(box, spot)
    return snap(frame)


def add_noise(signal: Array, sigma: float, seed: int, index: int) -> Array:
    """Root of the sum of squares over noisy channels, all of the signal in the first one.

    One channel's squared magnitude is s^2 + 2 s r cos t + r^2; the noise of all is -2 log of a
    product of uniform numbers.
    """
    words = np.random.PCG64([seed, index])

    def uniform() -> Array:
        numbers: Array = ((words.random_raw(signal.size) >> np.uint64(11)) + 0.5) * 2.0**-53
        return numbers.reshape(signal.shape)

    product: Array = uniform()
    modulus = np.sqrt(-2 * np.log(product))
    for _ in range(N_CHANNELS - 1):
        product *= uniform()
    cross = 2 * signal * modulus * np.cos(2 * np.pi * uniform())
    power = signal**2 + sigma * cross - 2 * sigma**2 * np.log(product)
    return snap(np.sqrt(np.maximum(power, 2.0**-26)), 8192)


def light_vessels(image: Array, vessels: Array, target: int) -> Array:
    """Brighten the scalp vessels, which own the maximum, until Otsu's threshold is `target`."""
    if vessels.max(initial=0.0) < 1:
        return image
    peak = 255 / (target + 0.5) * float(np.percentile(image, 99)) / 3
    for _ in range(20):
        lit = snap(image + (peak - image) * vessels, 8192)
        level = otsu_threshold(normalise(lit))
        if level == target:
            break
        peak *= 1 + 0.6 * ((level + 0.5) / (target + 0.5) - 1)
    return lit
