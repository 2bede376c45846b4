"""``spikemnist plot``."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.cli.command import answers, copy_digits, spikemnist


def test_another_image_of_other_data(run: Path, tmp_path: Path) -> None:
    copy_digits(tmp_path)
    words = ("--data", "fashion_mnist", "--root", tmp_path, "--device", "cpu", "--index", 7)
    (result,) = answers("plot", run, *words, "--format", "svg", "--out", "pictures", cwd=tmp_path)
    written = {Path(path).name for path in result["written"]}
    samples = {f"{name}-7.svg" for name in ("encoding", "decision", "raster", "membrane")}
    samples |= {"spike_counts-7.svg", "animation-7.gif"}
    assert written == samples | {"receptive_fields.svg", "energy.svg"}
    with Image.open(tmp_path / "pictures" / "animation-7.gif") as animation:
        assert animation.n_frames == 8  # type: ignore[attr-defined]
    for name in written:
        assert (tmp_path / "pictures" / name).read_bytes()[:5] in (b"<?xml", b"GIF89")


def test_a_pretrained_network_is_drawn_into_a_folder_of_its_name(tmp_path: Path) -> None:
    """The folder is no run, so the name still stands for the network."""
    (tmp_path / "mnist-mlp").mkdir()
    lines = spikemnist("plot", "mnist-mlp", cwd=tmp_path).stdout.splitlines()
    assert {line[:18].strip() for line in lines} == {"written"}
    assert {Path(line[18:]).parent.name for line in lines} == {"mnist-mlp"}
