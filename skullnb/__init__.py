"""A classical skull mask for 2D head MRI slices, with the evidence for it."""

__version__ = "0.1.0"
