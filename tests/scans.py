"""Slices stored in every kind of file that holds several."""

import nibabel as nib
import numpy as np
import tifffile

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
        case "nii" | "nii.gz":
            nib.Nifti1Image(volume, affine).to_filename(path)
        case "mgh" | "mgz":
            nib.MGHImage(volume, affine).to_filename(path)
    return path
