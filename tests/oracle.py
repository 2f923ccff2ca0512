"""The article's method, transcribed step by step and left slow: what `skullnb` is held against.

It loops over labels, looks at whole frame rows, and fills holes with scipy, as described. Nothing
of the package is used here.
"""

import cv2
import numpy as np
from scipy import ndimage


def literal_normalise(image):
    low, high = image.min(), image.max()
    if high == low:
        return np.zeros_like(image, dtype=np.uint8)
    unit = (image - low) / (high - low)
    return (unit * 255).astype(np.uint8)


def literal_brain(binary, connectivity=8, drop_edge_touching=True):
    count, labels = cv2.connectedComponents(binary, connectivity=connectivity)
    largest, size = None, 0
    for label in range(1, count):
        component = labels == label
        rows, columns = np.nonzero(component)
        touches = (
            rows.min() == 0
            or columns.min() == 0
            or rows.max() == component.shape[0] - 1
            or columns.max() == component.shape[1] - 1
        )
        if touches and drop_edge_touching:
            continue
        if component.sum() > size:
            largest, size = component, component.sum()
    if largest is None:
        return np.zeros(binary.shape, dtype=np.uint8)
    return largest.astype(np.uint8)


def literal_mask(image, dilation_size=26):
    normalised = literal_normalise(image)
    _, binary = cv2.threshold(normalised, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    brain = literal_brain(binary)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (dilation_size, dilation_size))
    grown = cv2.dilate(brain, kernel, iterations=1)
    return ndimage.binary_fill_holes(grown).astype(np.uint8)
