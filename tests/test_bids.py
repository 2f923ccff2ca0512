import json
from pathlib import Path

import pytest

from skullnb import __version__
from skullnb.bids import describe_dataset, mask_path, sidecar_path, write_sidecar


@pytest.mark.parametrize(
    ("name", "folder", "expected"),
    [
        ("sub-01_T1w", "anat", "sub-01/anat/sub-01_desc-skullinner_mask.nii.gz"),
        (
            "sub-01_ses-b_acq-x_run-2_FLAIR",
            "anat",
            "sub-01/ses-b/anat/sub-01_ses-b_acq-x_run-2_desc-skullinner_mask.nii.gz",
        ),
        (
            "sub-01_task-rest_desc-mean_bold",
            "func",
            "sub-01/func/sub-01_task-rest_desc-skullinner_mask.nii.gz",
        ),
        ("sub-01", "scans", "sub-01/anat/sub-01_desc-skullinner_mask.nii.gz"),
        (
            "my_scan-2 (new)",
            "scans",
            "sub-myscan2new/anat/sub-myscan2new_desc-skullinner_mask.nii.gz",
        ),
        ("run-1_T1w", "scans", "sub-run1T1w/anat/sub-run1T1w_desc-skullinner_mask.nii.gz"),
        ("ü", "scans", "sub-unknown/anat/sub-unknown_desc-skullinner_mask.nii.gz"),
    ],
)
def test_a_mask_keeps_the_entities_of_its_source(name, folder, expected):
    path = mask_path(name, Path("data") / folder / f"{name}.nii.gz", Path("out"))
    assert path == Path("out") / expected


def test_a_sidecar_names_its_source_by_its_place_in_the_dataset(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "derivatives" / "skullnb"
    source = raw / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    source.parent.mkdir(parents=True)
    source.touch()
    (raw / "dataset_description.json").write_text("{}")
    mask = mask_path("sub-01_T1w", source, out)
    told = json.loads(write_sidecar(mask, source, {"Axis": "axial"}).read_text())
    assert told["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert told["Type"] == "ROI"
    assert told["GeneratedBy"] == [{"Name": "skullnb", "Version": __version__}]
    assert told["Axis"] == "axial"
    assert sidecar_path(mask).name == "sub-01_desc-skullinner_mask.json"
    describe_dataset(out, source)
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["DatasetLinks"] == {"raw": "../../raw"}
    assert (out / description["DatasetLinks"]["raw"]).resolve() == raw.resolve()


def test_a_source_outside_a_dataset_is_named_without_its_folders(tmp_path):
    (tmp_path / "scan.nii").touch()
    mask = mask_path("scan", tmp_path / "scan.nii", tmp_path / "out")
    text = write_sidecar(mask, tmp_path / "scan.nii", {}).read_text()
    assert json.loads(text)["Sources"] == ["scan.nii"]
    assert str(tmp_path) not in text
    describe_dataset(tmp_path / "out", tmp_path / "scan.nii")
    described = tmp_path / "out" / "dataset_description.json"
    assert "DatasetLinks" not in json.loads(described.read_text())


def test_a_dataset_that_is_described_already_is_left_alone(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "mine"}')
    describe_dataset(tmp_path, tmp_path / "scan.nii")
    assert (tmp_path / "dataset_description.json").read_text() == '{"Name": "mine"}'
