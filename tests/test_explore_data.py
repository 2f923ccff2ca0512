"""What the explorer can open, what it says of a move, and the charts beside the picture."""

import gzip
import pickle
import re
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from real_data import real_data

from skullnb import metrics
from skullnb.errors import SkullnbError
from skullnb.explore import Explorer, sources
from skullnb.explore.sources import UPLOAD_BYTES, file_source, list_sources, upload_source
from skullnb.figures.explorer_charts import WIDTH, histogram_svg, sweep_svg
from skullnb.heads import HEADS, MIRROR_VARIABLE
from skullnb.phantom import VARIANTS
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.stack import Stack
from skullnb.sweep import sweep_kernel_width


def heads(n: int = 3, size: int = 64) -> np.ndarray:
    """Bright discs in bright rings, each larger than the one before."""
    rows, columns = np.mgrid[:size, :size] - size / 2
    radius = np.hypot(rows, columns)
    one = [(radius < 12 + k) | ((radius > 18 + k) & (radius < 20 + k)) for k in range(n)]
    return np.stack(one).astype(np.float32)


def references(n: int = 3, size: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - size / 2
    return np.stack([np.hypot(rows, columns) < 17 + k for k in range(n)]).astype(np.uint8)


@pytest.fixture
def explorer() -> Explorer:
    stack = Stack(heads(), references(), spacing_mm=(0.5, 0.5), name="discs")
    return Explorer(stack, PipelineSettings(kernel_width=5))


def npy(array: np.ndarray, **options: bool) -> bytes:
    file = BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def nifti(array: np.ndarray) -> bytes:
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([0.5, 0.5, 2.0, 1.0]))
    return gzip.compress(image.to_bytes())


def upload(explorer: Explorer, name: str, content: bytes) -> None:
    """Do what the browser does."""
    explorer.data.upload.value = [
        {
            "name": name,
            "type": "",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": datetime(2026, 1, 1, tzinfo=UTC),
        }
    ]


def message(explorer: Explorer) -> str:
    return re.sub(r"<[^>]+>", "", explorer.data.message.value)


def chosen(explorer: Explorer) -> str:
    return explorer.data.choice.label


def sentence(explorer: Explorer) -> str:
    return re.sub(r"<[^>]+>", "", explorer.screen.parts["sentence"].value)


def test_the_list_has_the_phantom_its_variants_and_the_heads_that_are_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, "a folder that is not there")
    labels = [source.label for source in list_sources()]
    assert labels == ["synthetic phantom", *(f"synthetic phantom: {name}" for name in VARIANTS)]
    monkeypatch.setattr(sources, "is_here", lambda head: head.name == "ubermuda-flair")
    assert list_sources()[-1].label == "open head: ubermuda-flair (FLAIR)"
    assert set(HEADS) >= {"ubermuda-flair"}


def test_a_variant_is_opened_by_name_and_the_settings_stay(explorer: Explorer) -> None:
    explorer.controls["kernel_width"].value = 9
    explorer.controls["scores"].value = False
    explorer.data.choice.value = next(
        index
        for index, source in enumerate(explorer.data._sources)
        if source.label.endswith("bridge")
    )
    assert explorer.stack.name == "synthetic phantom: bridge"
    assert message(explorer) == ""
    assert explorer.controls["slice"].max == 4
    assert explorer.state.settings == PipelineSettings(kernel_width=9)
    assert explorer.facts["scores"] == "hidden"
    assert sentence(explorer) == "Nothing has been moved yet."
    namespace: dict = {}
    exec(explorer.code.value, namespace)
    assert np.array_equal(namespace["trace"].mask, explorer.mask)
    explorer.data.choice.value = 0
    assert explorer.stack.name == "discs"
    assert "stack = " not in explorer.code.value


def test_an_open_head_is_opened_by_name(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, str(real_data()))
    source = next(one for one in list_sources() if "ubermuda-flair" in one.label)
    assert explorer.data.open(source)
    assert chosen(explorer) == source.label
    assert float(explorer.facts["Dice"]) > 0
    assert "stack = load('ubermuda-flair')" in explorer.code.value


@pytest.mark.parametrize(("name", "content"), [("a.npy", npy), ("b.nii.gz", nifti)])
def test_an_uploaded_file_is_shown_and_nothing_of_it_stays_on_disk(
    explorer: Explorer,
    name: str,
    content,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    upload(explorer, name, content(heads(5)))
    assert message(explorer) == ""
    assert chosen(explorer) == f"upload: {name}"
    assert len(explorer.stack) == 5
    assert list(tmp_path.iterdir()) == []
    assert explorer.data.upload.value == ()
    assert explorer.facts["scores"] == "none: no reference mask"
    assert explorer.controls["scores"].disabled
    explorer.data.choice.value = 0
    assert float(explorer.facts["IoU"]) > 0


def test_an_upload_of_images_and_reference_is_scored(explorer: Explorer) -> None:
    file = BytesIO()
    np.savez(file, images=heads(4), reference=references(4))
    upload(explorer, "both.npz", file.getvalue())
    assert "Dice" in explorer.facts


class Trap:
    """Unpickling it would be noticed."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("an upload was unpickled",))


BAD = {
    "an array of objects": ("a.npy", npy(np.array([Trap()]), allow_pickle=True), "a.npy"),
    "a bare pickle": ("b.npy", pickle.dumps(Trap()), "b.npy"),
    "no array": ("c.npy", b"not an array", "c.npy"),
    "cut short": ("d.nii.gz", nifti(heads())[:-40], "d.nii.gz"),
    "empty": ("e.npy", b"", "e.npy"),
    "another kind": ("f.exe", b"MZ", "kind that is not read"),
    "petabytes": (
        "g.npy",
        npy(heads()).replace(b"(3, 64, 64), }" + b" " * 9, b"(3, 64000000000, 64), }"),
        "g.npy",
    ),
    "one dimension": ("h.npy", npy(np.zeros(5)), "h.npy"),
    "not numbers": ("i.npy", npy(np.full((1, 8, 8), np.nan)), "NaN"),
    "a path": ("../../j.npy", b"", "j.npy"),
    "script": ("<script>k.npy", b"", "k.npy"),
    "only dots": ("..", b"", "kind that is not read"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_upload_ends_in_one_sentence_and_leaves_the_rest_as_it_was(
    explorer: Explorer, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, words = BAD[case]
    before, facts = explorer.picture.value, dict(explorer.facts)
    upload(explorer, name, content)
    said = message(explorer)
    assert words in said
    assert said.endswith(".")
    assert "\n" not in said
    assert "<script" not in explorer.data.message.value
    assert chosen(explorer) == "this notebook's: discs"
    assert (explorer.picture.value, explorer.facts) == (before, facts)
    assert capsys.readouterr() == ("", "")
    upload(explorer, "good.npy", npy(heads()))
    assert message(explorer) == ""


def test_uploads_are_bounded_before_and_after_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SkullnbError, match="give its path instead"):
        upload_source("big.npy", memoryview(bytes(UPLOAD_BYTES + 1))).open()
    monkeypatch.setattr(sources, "UPLOAD_PIXELS", heads().size - 1)
    monkeypatch.setattr(sources, "read_stack", None)
    with pytest.raises(SkullnbError, match=r"b\.nii\.gz unpacks to"):
        upload_source("b.nii.gz", nifti(heads())).open()


def test_only_the_last_file_of_ones_own_is_kept(explorer: Explorer) -> None:
    n_before = len(explorer.data.choice.options)
    for name in ("a.npy", "b.npy", "b.npy"):
        upload(explorer, name, npy(heads(2)))
    assert len(explorer.data.choice.options) == n_before + 1
    assert chosen(explorer) == "upload: b.npy"


def test_a_path_is_opened_with_its_reference_and_the_code_opens_it_again(
    explorer: Explorer, tmp_path: Path
) -> None:
    np.save(tmp_path / "it's scans.npy", heads(4))
    np.save(tmp_path / "masks.npy", references(4))
    explorer.data.path.value = f" {tmp_path / chr(105)}t's scans.npy"
    explorer.data.reference.value = str(tmp_path / "masks.npy")
    explorer.data.button.click()
    assert message(explorer) == ""
    assert chosen(explorer) == "file: it's scans.npy"
    namespace: dict = {}
    exec(explorer.code.value, namespace)
    assert np.array_equal(namespace["trace"].mask, explorer.mask)
    explorer.data.path.value = str(tmp_path / "missing.npy")
    explorer.data.button.click()
    assert "missing.npy" in message(explorer)
    assert chosen(explorer) == "file: it's scans.npy"


def test_an_unforeseen_error_of_the_system_is_a_sentence_too(explorer: Explorer) -> None:
    source = file_source("scans.npy")
    object.__setattr__(source, "open", lambda: (_ for _ in ()).throw(MemoryError("too much")))
    assert not explorer.data.open(source)
    assert message(explorer) == "file: scans.npy cannot be opened (too much)."


def test_the_first_sentence_says_that_nothing_has_been_moved(explorer: Explorer) -> None:
    assert sentence(explorer) == "Nothing has been moved yet."


def test_what_changed_is_said_in_numbers_and_in_a_sentence(explorer: Explorer) -> None:
    before = trace_skull_mask(explorer.stack.images[1], PipelineSettings(kernel_width=5)).mask
    explorer.move(kernel_width=9)
    after = explorer.mask
    gained = np.count_nonzero(after > before)
    dice = [metrics.dice(mask, explorer.stack.reference[1]) for mask in (before, after)]
    assert sentence(explorer) == (
        f"Kernel width 5 px → 9 px: the mask gains {gained:,} px. "
        f"Dice rises from {dice[0]:.4f} to {dice[1]:.4f}."
    )
    cells = re.findall(r">([^<>]*)</t[hd]>", explorer.readout.value)
    rows = {name: (now, change) for name, now, change in zip(*[iter(cells)] * 3, strict=True)}
    assert rows["mask"][1] == f"+{gained}"
    assert rows["kernel width"][1] == "+4"
    assert rows["Dice"] == (f"{dice[1]:.4f}", f"{dice[1] - dice[0]:+.4f}")
    assert rows["brain"][1] == ""
    assd = metrics.assd(after, explorer.stack.reference[1], (0.5, 0.5))
    assert rows["ASSD"][0] == f"{assd:.2f} mm"


def test_a_rule_that_had_nothing_to_do_is_said_to_change_nothing(explorer: Explorer) -> None:
    explorer.controls["drop_edge_touching"].value = False
    assert sentence(explorer) == "Edge rule on → off: the mask stays the same, pixel for pixel."


def test_the_threshold_by_hand_and_back_is_told_from_otsus(explorer: Explorer) -> None:
    explorer.move(threshold=200)
    assert sentence(explorer).startswith("Threshold 0 (Otsu) → 200: ")
    assert "threshold 200</div>" in explorer.screen.parts["histogram"].value
    explorer.move(threshold="otsu")
    assert "threshold 0 (Otsu)</div>" in explorer.screen.parts["histogram"].value


def test_another_slice_is_not_compared_pixel_by_pixel(explorer: Explorer) -> None:
    explorer.controls["slice"].value = 2
    assert sentence(explorer).startswith("Slice 1 → 2: another slice")
    assert "+" not in re.sub(r"<[^>]+>", "", explorer.readout.value)


def test_looks_are_no_move(explorer: Explorer) -> None:
    explorer.move(kernel_width=9)
    said = sentence(explorer)
    explorer.controls["stage"].value = "brain"
    explorer.controls["mask"].value = False
    assert sentence(explorer) == said


def test_hidden_scores_are_hidden_everywhere(explorer: Explorer) -> None:
    explorer.controls["scores"].value = False
    explorer.move(kernel_width=9)
    said = " ".join(part.value for name, part in explorer.screen.parts.items() if name != "picture")
    assert not re.search("IoU|Dice|ASSD", said)
    assert "share against the kernel width" in explorer.screen.parts["sweep"].value


def test_a_drag_is_compared_with_where_it_began_and_a_pause_ends_it(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.monotonic()]
    monkeypatch.setattr("skullnb.explore.explorer.monotonic", lambda: clock[0])
    for width in (6, 7, 8):
        explorer.controls["kernel_width"].value = width
        clock[0] += 0.1
    assert sentence(explorer).startswith("Kernel width 5 px → 8 px")
    clock[0] += 5
    explorer.controls["kernel_width"].value = 9
    assert sentence(explorer).startswith("Kernel width 8 px → 9 px")


def test_the_neighbours_control_is_the_pipelines_connectivity(explorer: Explorer) -> None:
    explorer.controls["connectivity"].value = 4
    assert explorer.state.settings.connectivity == 4
    assert "connectivity=4" in explorer.code.value


def test_the_button_shows_the_code_and_hides_it(explorer: Explorer) -> None:
    assert explorer.code.layout.display == "none"
    explorer.code_button.value = True
    assert explorer.code.layout.display == ""
    explorer.code_button.value = False
    assert explorer.code.layout.display == "none"


def test_the_sweep_is_that_of_the_package_and_computed_once_for_all_kernels(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths, curves = explorer._stages.sweep(1, PipelineSettings(kernel_width=7), 60)
    table = sweep_kernel_width(explorer.stack, widths)
    rows = table[table["slice"] == 1]
    assert np.array_equal(curves["Dice"], rows["dice"])
    assert np.array_equal(curves["IoU"], rows["iou"])
    monkeypatch.setattr("skullnb.explore.stages.masks_by_width", None)
    before = explorer.screen.parts["sweep"].value
    explorer.controls["kernel_width"].value = 12
    assert explorer.screen.parts["sweep"].value != before
    assert f"at 12 px Dice {explorer.facts['Dice']}" in explorer.screen.parts["sweep"].value


def test_the_components_are_listed_beside_the_picture(explorer: Explorer) -> None:
    text = explorer.screen.parts["components"].value
    assert text.count("<tr>") == 1 + len(trace_skull_mask(explorer.stack.images[1]).components)
    assert "taken for the brain" in text
    explorer.move(threshold=255)
    assert explorer.screen.parts["components"].value.endswith(
        "<p>No bright component: no pixel is above the threshold.</p>"
    )


def test_the_histogram_marks_the_threshold_between_its_level_and_the_next() -> None:
    levels = np.repeat(np.array([[10, 200]], dtype=np.uint8), 4, axis=0)
    svg = histogram_svg(levels, 99, 99)
    assert re.findall(r'd="M([\d.]+),0V100" stroke=', svg) == ["100.0"]
    by_hand = histogram_svg(levels, 150, 99)
    assert re.findall(r'd="M([\d.]+),0V100" stroke=', by_hand) == ["100.0", "151.0"]


def test_charts_of_an_empty_or_constant_curve_are_drawn_without_it() -> None:
    svg = sweep_svg((0, 2), {"Dice": (float("nan"), float("nan"))}, 2, {"Dice": float("nan")})
    assert "nan" not in re.sub(r'aria-label="[^"]*"', "", svg)
    svg = sweep_svg((0, 2, 4), {"share": (0.5, 0.5, 0.5)}, 4, {"share": 0.5})
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', svg)]
    assert len(places) == 1
    assert 0 < places[0] < WIDTH


def test_the_charts_stand_on_a_page_without_a_control(explorer: Explorer) -> None:
    page = explorer.charts().data
    assert page.count("<svg") == 2
    assert page.count('role="img"') == 2
