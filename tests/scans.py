"""Slices stored in every kind of file, and settings of every kind, for tests to draw from."""

import cv2
import nibabel as nib
import numpy as np
import tifffile
from hypothesis import strategies as st

from skullnb.pipeline import PipelineSettings

FLAT = np.diag([-1.0, -1, 1, 1])  # stored as axial slices are read
KINDS = ("npy", "npz", "tif", "tiff", "nii", "nii.gz", "mgh", "mgz")


def save(path, slices, affine=FLAT):
    """Store slices (N, H, W) in the kind of file that the name says; return the path."""
    volume = slices.transpose(2, 1, 0)
    match path.name.split(".", 1)[1]:
        case "npy":
            np.save(path, slices)
        case "npz":
            np.savez_compressed(path, slices)
        case "tif":
            tifffile.imwrite(path, slices, photometric="minisblack")
        case "tiff":
            options = {"compression": "zlib", "metadata": None, "photometric": "minisblack"}
            tifffile.imwrite(path, slices, **options)
        case "png" | "jpg":
            cv2.imwrite(str(path), slices[0])
        case "nii" | "nii.gz":
            nib.Nifti1Image(volume, affine).to_filename(path)
        case "mgh" | "mgz":
            nib.MGHImage(volume, affine).to_filename(path)
    return path


def any_settings(widest):
    """Draw any settings of the pipeline, with a kernel of up to so many pixels."""
    return st.builds(
        PipelineSettings,
        kernel_width=st.integers(0, widest),
        kernel_shape=st.sampled_from(["ellipse", "rectangle"]),
        connectivity=st.sampled_from([4, 8]),
        drop_edge_touching=st.booleans(),
        threshold=st.just("otsu") | st.integers(0, 255),
        fill_holes=st.booleans(),
    )
