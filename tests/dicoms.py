"""DICOM files made for tests: a volume in RAS, stored as a scanner would, with a planted name."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

# Written into every field that may hold a text about the patient, and looked for in every output.
PLANTED = "Quirkelbach"

# The directions of columns and rows, towards the patient's left, back and head, with the normal.
PLANES = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}


def save_series(
    folder,
    planes,
    *,
    directions=PLANES["axial"],
    first=(-90.0, -120.0, 30.0),
    spacing=(0.5, 0.75),
    step=4.0,
    number=7,
    names="IM{:06d}",
    order=None,
    **tags,
):
    """Write (N, rows, columns) int16 as one file an image, in the given order of names."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid(entropy_srcs=[folder.name, str(number), names])
    normal, paths = np.cross(*directions), []
    for name, place in enumerate(order or range(len(planes))):
        dataset = patient_and_pixels(np.asarray(planes[place]))
        dataset.SeriesInstanceUID = uid
        dataset.SeriesNumber = number
        dataset.InstanceNumber = name + 1
        dataset.PixelSpacing = list(spacing)
        dataset.SliceThickness = step
        dataset.ImageOrientationPatient = [float(one) for part in directions for one in part]
        position = np.array(first) + place * step * normal
        dataset.ImagePositionPatient = [f"{one:.10g}" for one in position]
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        paths.append(folder / names.format(name))
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def patient_and_pixels(pixels):
    """Make a dataset with pixels, and the planted name in all that tells of the patient."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(pixels.sum())])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    dataset.Modality = "MR"
    for keyword in (
        *("PatientName", "PatientID", "PatientComments", "PatientAddress", "OtherPatientIDs"),
        *("InstitutionName", "OperatorsName", "StudyID", "SeriesDescription", "ImageComments"),
    ):
        setattr(dataset, keyword, PLANTED)
    dataset.PatientBirthDate = "19010203"
    block = dataset.private_block(0x0029, PLANTED, create=True)
    block.add_new(0x01, "LO", PLANTED)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    return dataset


def save_enhanced(path, planes, order, slopes, step=4.0):
    """Write one file of many images, each with its own position and slope."""
    dataset = patient_and_pixels(np.asarray(planes)[list(order)])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[path.name])
    dataset.SeriesNumber = 3
    dataset.NumberOfFrames = len(planes)
    shared, measures, turned = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.75], step
    turned.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([turned])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for place in order:
        group, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-90, -120, 30 + step * place]
        rescale.RescaleSlope, rescale.RescaleIntercept = slopes[place], -5
        group.PlanePositionSequence = Sequence([position])
        group.PixelValueTransformationSequence = Sequence([rescale])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.save_as(path, enforce_file_format=True)
    return path
