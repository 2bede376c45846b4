"""``spikemnist predict``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spikemnist.cli import main, predict
from spikemnist.data import load_digits
from spikemnist.encoding import EventEncoder
from spikemnist.models import Classifier, LeakyMLP
from tests.cli.command import spikemnist

DIGITS = load_digits()[1]


def picture(folder: Path, index: int, name: str, *, inverted: bool = False) -> Path:
    pixels = DIGITS.images[index].numpy()
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(255 - pixels if inverted else pixels).resize((280, 280)).save(file)
    return file


def test_several_pictures(run: Path, tmp_path: Path) -> None:
    files = [picture(tmp_path, 0, "one.png"), picture(tmp_path, 1, "two.jpg", inverted=True)]
    files.append(picture(tmp_path / "other", 2, "one.png"))
    out = tmp_path / "out"
    printed = spikemnist("predict", run, *files, "--out", out, cwd=tmp_path).stdout
    answers = re.findall(
        r"\.(?:png|jpg): (\d)   margin ([01]\.\d\d), second choice (\d)\n"
        r"  picture   280 x 280 pixels, strokes (dark on light|light on dark) \(detected\)\n"
        r"  spikes    hidden 1 \d+, output \d+\n"
        r"  decided   after timestep (\d) of 8\n"
        r"  written   .*-decision\.png\n",
        printed,
    )
    papers = [paper for _, _, _, paper, _ in answers]
    assert papers == ["light on dark", "dark on light", "light on dark"]
    assert sum(int(a[0]) == int(y) for a, y in zip(answers, DIGITS.labels, strict=False)) >= 2
    names = {f"{stem}-decision.png" for stem in ("one", "two", "one-2")}
    assert {file.name for file in out.iterdir()} == names


def test_names_of_the_classes(tmp_path: Path) -> None:
    names = [f"name {label}" for label in range(10)]
    Classifier(LeakyMLP(hidden=9), "latency", names).save(tmp_path / "model.safetensors")
    picture(tmp_path, 0, "one.png")
    printed = spikemnist("predict", "model.safetensors", "one.png", cwd=tmp_path).stdout
    assert re.match(r"one.png: (\d), name \1   margin .*, second choice (\d), name \2\n", printed)


def test_a_model_file_and_an_animation(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "model.safetensors", tmp_path / "model.safetensors")
    picture(tmp_path, 0, "one.png")
    words = ("predict", "model.safetensors", "one.png", "--gif", "--invert", "yes")
    printed = spikemnist(*words, cwd=tmp_path).stdout
    assert "strokes dark on light (by --invert)\n" in printed
    assert printed.endswith("one-decision.png, one.gif\n")
    with Image.open(tmp_path / "one.gif") as animation:
        assert animation.n_frames == 8  # type: ignore[attr-defined]


def test_a_network_of_recordings_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = picture(tmp_path, 0, "one.png")
    events = Classifier(LeakyMLP(hidden=4), EventEncoder(num_steps=4))
    model = events.save(tmp_path / "events.safetensors")
    assert main(["predict", str(model), str(file)]) == 2
    assert "reads recordings of an event camera; predict needs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.png", "no picture at"),
        ("text.png", "is not a picture that Pillow can read"),
        ("white.png", "the picture is blank"),
    ],
)
def test_files_without_a_digit_are_named_before_anything_is_written(
    run: Path, tmp_path: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.png").write_bytes(b"no picture")
    Image.new("RGB", (90, 90), "white").save(tmp_path / "white.png")
    good, bad, out = picture(tmp_path, 0, "one.png"), tmp_path / name, tmp_path / "out"
    assert main(["predict", str(run), str(good), str(bad), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert name in captured.err
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out
    assert not out.exists()


@given(st.lists(st.sampled_from(["x.png", "x-2.png", "x-2-2.png", "y.png"])))
def test_pictures_have_different_names(files: list[str]) -> None:
    stems = list(predict._stems(tuple(map(Path, files))))
    assert len(set(stems)) == len(files)
    assert stems[:1] == [Path(file).stem for file in files[:1]]
