"""``spikemnist encode``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.command import answers, fields, spikemnist


def test_a_picture(tmp_path: Path) -> None:
    (result,) = answers("encode", "--index", 4, "--out", "latency.png", cwd=tmp_path)
    assert (result["data"], result["index"], result["shape"]) == ("digits", 4, [28, 28])
    assert result["encoder"] == "latency"
    with Image.open(tmp_path / result["written"]) as picture:
        assert min(picture.size) > 200


def test_an_array(tmp_path: Path) -> None:
    words = ("encode", "--encoder", "rate", "--num-steps", 12, "--seed", 5, "--out")
    (result,) = answers(*words, "rate.npy", cwd=tmp_path)
    spikes = np.load(tmp_path / "rate.npy")
    assert spikes.shape == (12, 28, 28)
    assert set(np.unique(spikes)) == {0, 1}
    assert (result["spikes"], result["num_steps"]) == (spikes.sum(), 12)
    assert result["density"] == spikes.mean(dtype=float)
    spikemnist(*words, "again.npy", cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "again.npy"), spikes)


def test_an_existing_picture_is_not_replaced_by_default(tmp_path: Path) -> None:
    (tmp_path / "encoding.png").write_text("mine", encoding="utf-8")
    result = fields(spikemnist("encode", cwd=tmp_path).stdout)
    assert (tmp_path / "encoding.png").read_text(encoding="utf-8") == "mine"
    assert (result["written"], result["label"]) == ("encoding-2.png", "8")


def test_compare(tmp_path: Path) -> None:
    words = ("encode", "--compare", "--num-steps", 16)
    lines = spikemnist(*words, cwd=tmp_path).stdout.splitlines()
    with Image.open(tmp_path / "codes.png") as picture:
        assert min(picture.size) > 500
    rows = {cells[0]: cells[1:] for line in lines if (cells := line.split())}
    assert {"burst", "delta", "direct", "latency", "phase", "rate"} < set(rows)
    assert rows["code"] == ["spikes", "error", "bits/spike"]
    assert rows["direct"] == ["current", "0.0000", "–"]
    assert rows["phase"][1] == "0.0000"
    assert rows["rank_order"][1:] == ["–", "–"]
    # One spike for each lit pixel; the latency code's pixels are lit from a hundredth on.
    assert 0 <= int(rows["rank_order"][0]) - int(rows["latency"][0]) < 10
    assert 0 < float(rows["latency"][1]) < 0.1
    (result,) = answers(*words, cwd=tmp_path)
    assert result["written"] == "codes-2.png"
    assert f"{result['codes']['latency']['error']:.4f}" == rows["latency"][1]
    assert result["codes"]["direct"]["spikes"] is None


def test_compare_names_codes_that_need_more_timesteps(tmp_path: Path) -> None:
    printed = spikemnist("encode", "--compare", "--num-steps", 4, cwd=tmp_path).stdout
    assert "burst       the longest burst ends on timestep 6" in printed
