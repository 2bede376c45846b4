"""``spikemnist predict``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from spikemnist.cli import predict
from spikemnist.data import load_digits
from spikemnist.encoding import EventEncoder
from spikemnist.models import Classifier, LeakyMLP
from tests.cli.command import answers, error, fields, spikemnist

DIGITS = load_digits()[1]


def picture(folder: Path, index: int, name: str, *, inverted: bool = False) -> Path:
    pixels = DIGITS.images[index].numpy()
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(255 - pixels if inverted else pixels).resize((280, 280)).save(file)
    return file


def test_several_pictures(run: Path, tmp_path: Path) -> None:
    """Drawings of pictures that share a name have a number."""
    files = [picture(tmp_path, 0, "one.png"), picture(tmp_path, 1, "two.jpg", inverted=True)]
    files += [picture(tmp_path / "other", 2, name) for name in ("one-2.png", "one.png")]
    results = answers("predict", run, *files, "--out", "out", cwd=tmp_path)
    assert [result["picture"] for result in results] == [str(file) for file in files]
    strokes = ["light on dark", "dark on light", "light on dark", "light on dark"]
    assert [result["strokes"] for result in results] == strokes
    labels = DIGITS.labels[[0, 1, 2, 2]].tolist()
    assert sum(r["prediction"] == y for r, y in zip(results, labels, strict=True)) >= 3
    for result in results:
        assert result["prediction"] != result["second"]
        assert result["pixels"] == [280, 280]
        assert 0 <= result["margin"] <= 1
        assert result["sure"] == (result["margin"] >= predict.SURE)
        assert result["parts"] == 1
        assert 1 <= result["decided_after"] <= result["num_steps"] == 8
        assert list(result["spikes"]) == ["hidden 1", "output"]
    drawings = [Path(file).name for result in results for file in result["written"]]
    names = [f"{name}-decision.png" for name in ("one", "two", "one-2", "one-3")]
    assert drawings == names
    assert {file.name for file in (tmp_path / "out").iterdir()} == {*names}


def test_a_folder_of_pictures(run: Path, tmp_path: Path) -> None:
    for index, name in enumerate(("b.png", "a.PNG")):
        picture(tmp_path / "mine", index, name)
    (tmp_path / "mine/notes.txt").write_text("no picture", encoding="utf-8")
    parts = spikemnist("predict", run, "mine", cwd=tmp_path).stdout.split("\n\n")
    names = [Path(fields(part)["picture"]).name for part in parts]
    assert names == ["a.PNG", "b.png"]


def test_doubts(run: Path, tmp_path: Path) -> None:
    """Of an untrained network about all, of a trained one about two digits in one picture."""
    picture(tmp_path, 0, "one.png")
    Image.fromarray(np.hstack([*DIGITS.images[:2].numpy()])).save(tmp_path / "two.png")
    Classifier(LeakyMLP(hidden=9), "latency").save(tmp_path / "untrained")
    for model, sure in ((run, True), ("untrained", False)):
        words = ("predict", model, "one.png", "two.png")
        results = answers(*words, cwd=tmp_path)
        assert [result["parts"] for result in results] == [1, 2]
        assert results[0]["sure"] == sure
        parts = spikemnist(*words, cwd=tmp_path).stdout.split("\n\n")
        lines = [fields(part) for part in parts]
        for line, result in zip(lines, results, strict=True):
            assert line["prediction"][0] == str(result["prediction"])
            assert ("not sure" in line["prediction"]) == (not result["sure"])
            assert ("ink in 2 parts" in line["prediction"]) == (result["parts"] == 2)
            assert line["margin"] == f"{result['margin']:.2f} of 1, sure from 0.5"
            assert line["decided after"] == f"{result['decided_after']} of 8 timesteps"
        brief = spikemnist(*words, "--quiet", cwd=tmp_path).stdout.splitlines()
        assert brief == [f"{line['picture']}: {line['prediction']}" for line in lines]


def test_the_other_pictures_are_answered_if_one_is_bad(run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(b"no picture")
    Image.new("RGB", (90, 90), "white").save(tmp_path / "white.png")
    picture(tmp_path, 0, "good.png")
    words = ("predict", run, "absent.png", "good.png", "text.png", "white.png", "--json")
    out, err = spikemnist(*words, cwd=tmp_path, code=1)
    assert out.count("\n") == 1
    assert '"picture": "good.png"' in out
    messages = ("no picture at absent.png", "text.png is not a picture", "white.png: the picture")
    for line, message in zip(err.splitlines(), messages, strict=True):
        assert line.startswith(f"spikemnist: error: {message}")
    assert (tmp_path / "good-decision.png").exists()


def test_names_of_the_classes(tmp_path: Path) -> None:
    names = [f"name {label}" for label in range(10)]
    Classifier(LeakyMLP(hidden=9), "latency", names).save(tmp_path / "model.safetensors")
    picture(tmp_path, 0, "one.png")
    words = ("predict", "model.safetensors", "one.png")
    (result,) = answers(*words, cwd=tmp_path)
    first, second = result["prediction"], result["second"]
    assert result["classes"] == [names[first], names[second]]
    said = fields(spikemnist(*words, cwd=tmp_path).stdout)
    assert said["prediction"].startswith(f"{first}, name {first}")
    assert (said["second"], "classes" in said) == (f"{second}, name {second}", False)


def test_a_model_file_and_an_animation(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "model.safetensors", tmp_path / "model.safetensors")
    picture(tmp_path, 0, "one.png")
    words = ("predict", "model.safetensors", "one.png", "--gif", "--invert", "yes")
    words += ("--format", "svg")
    result = fields(spikemnist(*words, cwd=tmp_path).stdout)
    assert result["strokes"] == "dark on light"
    assert result["written"] == "one-decision.svg, one.gif"
    assert "<svg" in (tmp_path / "one-decision.svg").read_text("utf-8")
    with Image.open(tmp_path / "one.gif") as animation:
        assert animation.n_frames == 8  # type: ignore[attr-defined]


def test_a_network_of_recordings_is_refused(tmp_path: Path) -> None:
    picture(tmp_path, 0, "one.png")
    Classifier(LeakyMLP(hidden=4), EventEncoder(num_steps=4)).save(tmp_path / "events")
    message = error("predict", "events", "one.png", cwd=tmp_path)
    assert "events reads recordings of an event camera; predict needs" in message
