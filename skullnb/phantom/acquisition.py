"""The scanner: coil profile, point spread, noise, and the bright vessels that set the range.

Intermediate arrays are snapped to a grid of 1/4096 and filtered with weights of 1/4096, so every
sum is exact in whatever order a library adds; the noise uses only the raw words of PCG64.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from skullnb.phantom.anatomy import Array, Head, snap
from skullnb.phantom.section import Section


@dataclass(frozen=True)
class Acquisition:
    """How the head is imaged; signals in the same arbitrary units as `Intensities`."""

    coil: float = 0.30  # brightening from the centre to the rim, fraction
    bias: float = 0.05  # further smooth shading over the head, fraction
    point_spread: float = 1.0  # standard deviation, pixels
    noise: float = 1.930  # standard deviation of each channel, a.u.
    n_channels: int = 6  # combined as root of the sum of squares, so no pixel is zero
    otsu_level: int | None = (
        23  # where the vessels' brightness puts Otsu's threshold; None: no vessels
    )
    peak: float = 3.49e-05  # largest value of the stack


class Scanner:
    """The random numbers of one head's images."""

    def __init__(self, head: Head) -> None:
        rng = head.rng
        self.shading = rng.uniform(-1, 1, 4)
        angles = np.deg2rad([-148, -104, -68, 0, 68, 104, 148])
        n = angles.size
        self.vessels = np.stack(
            [
                angles + rng.uniform(-0.06, 0.06, n),
                rng.uniform(-0.004, 0.004, n),  # drift, radians per mm of level
                rng.uniform(0.35, 0.75, n),  # share of the way from muscle to skin
                rng.uniform(1.4, 2.1, n),  # radius, pixels
            ],
            axis=1,
        )


def receive(signal: Array, scanner: Scanner, acquisition: Acquisition, section: Section) -> Array:
    """Apply the coil's sensitivity and the point spread, (H, W) float64."""
    x, y, s = section.x / 80, section.y / 80, scanner.shading
    to_rim = section.radius / section.around(section.surfaces.skull)
    profile = 1 + acquisition.coil * (np.minimum(to_rim, 1.25) ** 2 - 0.55)
    shading = s[0] * x + s[1] * y + 0.7 * (s[2] * x * y + s[3] * (x * x - y * y))
    return blur(snap(signal * profile * (1 + acquisition.bias * shading)), acquisition.point_spread)


def blur(image: Array, sigma: float) -> Array:
    """Gaussian filter with weights rounded to 1/4096, the frame's edge repeated."""
    if not image.size:
        return image
    reach = int(3 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = snap(weights / weights.sum())
    weights[reach] += 1 - weights.sum()  # exactly 1 in all
    blurred = cv2.sepFilter2D(image, -1, weights, weights, borderType=cv2.BORDER_REPLICATE)
    return snap(blurred.astype(np.float64))


def vessel_profile(scanner: Scanner, section: Section) -> Array:
    """Bright scalp vessels as weights from 0 to 1, (H, W) float64; 1 at each vessel's centre."""
    surfaces, reach = section.surfaces, 7  # pixels
    profile = np.zeros(section.x.shape)
    offset = np.arange(-reach, reach + 1)
    for angle, drift, height, radius in scanner.vessels:
        at = float(angle + drift * section.level)
        depth = surfaces.muscle + 2.1 + height * np.maximum(surfaces.scalp - 4.2, 0.5)
        down, right = section.in_frame(*surfaces.point(surfaces.skull + depth / surfaces.slant, at))
        row, column = np.searchsorted(section.down, down), np.searchsorted(section.right, right)
        box = profile[row - reach : row + reach + 1, column - reach : column + reach + 1]
        if min(row, column) < reach or box.shape != (offset.size, offset.size):
            continue  # cut by the frame
        spot = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / radius**2)
        box[:] = np.maximum(box, spot)
    return snap(profile)


def add_noise(signal: Array, acquisition: Acquisition, seed: int, index: int) -> Array:
    """Root of the sum of squares over noisy channels, all of the signal in the first one.

    For one channel with signal s and complex Gaussian noise of modulus r and phase t, the squared
    magnitude is s^2 + 2 s r cos t + r^2; the noise of all channels together is chi-square, which is
    -2 log of a product of uniform numbers.
    """
    words = np.random.PCG64([seed, index])

    def uniform() -> Array:
        numbers: Array = ((words.random_raw(signal.size) >> np.uint64(11)) + 0.5) * 2.0**-53
        return numbers.reshape(signal.shape)

    product: Array = uniform()
    modulus = np.sqrt(-2 * np.log(product))
    for _ in range(acquisition.n_channels - 1):
        product *= uniform()
    cross = 2 * signal * modulus * np.cos(2 * np.pi * uniform())
    sigma = acquisition.noise
    power = signal**2 + sigma * cross - 2 * sigma**2 * np.log(product)
    return snap(np.sqrt(np.maximum(power, 2.0**-26)), 8192)
