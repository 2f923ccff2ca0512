"""One slice of a synthetic head, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skullnb.phantom.acquisition import Acquisition, Scanner, add_noise, receive, vessel_profile
from skullnb.phantom.anatomy import Anatomy, Array, Head
from skullnb.phantom.calibration import light_vessels
from skullnb.phantom.section import Frame, Section
from skullnb.phantom.sulci import Folds, fold_cortex
from skullnb.phantom.tissue import (
    Intensities,
    Textures,
    paint_brain,
    paint_bridge,
    paint_scalp_and_skull,
)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a synthetic head, but for the seed and the levels."""

    anatomy: Anatomy = field(default_factory=Anatomy)
    intensities: Intensities = field(default_factory=Intensities)
    acquisition: Acquisition = field(default_factory=Acquisition)
    frame: Frame = field(default_factory=Frame)


class Subject:
    """One synthetic person: a recipe, and the random numbers that hold for all levels."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.head = Head(recipe.anatomy, seed)
        self.folds = Folds(self.head)
        self.textures = Textures(self.head)
        self.scanner = Scanner(self.head)

    def make_slice(self, level: float, index: int) -> tuple[Array, NDArray[np.uint8]]:
        """Draw one slice and its reference mask.

        Parameters
        ----------
        level : float
            Height of the slice, mm.
        index : int
            Number of the slice; decides its noise.

        Returns
        -------
        image : (H, W) float64
            Magnitude in arbitrary units, positive everywhere.
        reference : (H, W) uint8
            1 inside the outer surface of the skull, exactly.
        """
        tissue, acquisition = self.recipe.intensities, self.recipe.acquisition
        section = Section(self.head, self.recipe.frame, level)
        reference = np.zeros(self.recipe.frame.shape, np.uint8)
        reference[section.window] = section.below(section.surfaces.skull) >= 0

        cortex = fold_cortex(self.folds, section)
        signal = paint_scalp_and_skull(tissue, self.textures, section)
        signal = np.where(
            cortex.tissue, paint_brain(tissue, self.textures, section, cortex), signal
        )
        signal = np.where(cortex.falx, tissue.falx, signal)
        signal = paint_bridge(tissue, section, signal)
        signal = np.where(signal > 0, 22 + (signal - 22) * tissue.contrast, 0.0)

        received = np.zeros(reference.shape)
        received[section.window] = receive(signal, self.scanner, acquisition, section)
        image = add_noise(received, acquisition, self.head.seed, index)
        if acquisition.otsu_level is not None:
            vessels = np.zeros(reference.shape)
            vessels[section.window] = vessel_profile(self.scanner, section)
            image = light_vessels(image, vessels, acquisition.otsu_level)
        return image, reference
