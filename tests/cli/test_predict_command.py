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
from spikemnist.encoding import EventEncoder, describe_encoder
from spikemnist.models import LeakyMLP, save_model

DIGITS = load_digits()[1]


def picture(folder: Path, index: int, name: str, *, inverted: bool = False) -> Path:
    pixels = DIGITS.images[index].numpy()
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(255 - pixels if inverted else pixels).resize((280, 280)).save(file)
    return file


def test_it_says_what_it_sees_and_draws_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [picture(tmp_path, 0, "one.png"), picture(tmp_path, 1, "two.jpg", inverted=True)]
    files.append(picture(tmp_path / "other", 2, "one.png"))
    out = tmp_path / "out"
    words = ["predict", str(run), *map(str, files), "--out", str(out)]
    assert main(words) == 0
    said = capsys.readouterr().out
    answers = re.findall(
        r"\.(?:png|jpg): (\d)   margin ([01]\.\d\d), second choice (\d)\n"
        r"  picture   280 x 280 pixels, strokes (dark on light|light on dark) \(detected\)\n"
        r"  spikes    hidden 1 \d+, output \d+\n"
        r"  decided   after timestep (\d) of 8\n"
        r"  written   .*-decision\.png\n",
        said,
    )
    assert len(answers) == 3
    assert [paper for _, _, _, paper, _ in answers] == [
        "light on dark",
        "dark on light",
        "light on dark",
    ]
    assert sum(int(a[0]) == int(y) for a, y in zip(answers, DIGITS.labels, strict=False)) >= 2
    names = {f"{stem}-decision.png" for stem in ("one", "two", "one-2")}
    assert {file.name for file in out.iterdir()} == names
    assert main([*words[:3], "--gif", *words[-2:]]) == 0
    again = capsys.readouterr().out
    assert said.startswith(again.splitlines()[0])
    assert again.endswith("one-decision.png, " + str(out / "one.gif") + "\n")
    with Image.open(out / "one.gif") as animation:
        assert animation.n_frames == 8


def test_runs_that_take_no_picture_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = picture(tmp_path, 0, "one.png")
    (tmp_path / "config.json").write_text('{"command": "stdp"}', encoding="utf-8")
    assert main(["predict", str(tmp_path), str(file)]) == 2
    assert "is a run of `spikemnist stdp`; predict needs" in capsys.readouterr().err
    events = describe_encoder(EventEncoder(num_steps=4))
    model = save_model(LeakyMLP(hidden=(4,)), tmp_path / "events.safetensors", encoder=events)
    assert main(["predict", str(model), str(file)]) == 2
    assert "reads recordings of an event camera; predict needs" in capsys.readouterr().err


def test_invert_decides(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = picture(tmp_path, 0, "one.png")
    words = ["predict", str(run), str(file), "--out", str(tmp_path)]
    assert main([*words, "--invert", "yes"]) == 0
    assert "strokes dark on light (by --invert)\n" in capsys.readouterr().out
    assert main([*words, "--invert", "no"]) == 0
    assert "strokes light on dark (by --invert)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.png", None, "no picture at"),
        ("text.png", b"no picture", "is not a picture that Pillow can read"),
        ("empty.png", b"", "is not a picture that Pillow can read"),
    ],
)
def test_what_is_no_picture_is_named_before_anything_is_written(
    run: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad = picture(tmp_path, 0, "one.png"), tmp_path / name
    if content is not None:
        bad.write_bytes(content)
    out = tmp_path / "out"
    assert main(["predict", str(run), str(good), str(bad), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert name in said.err
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert not out.exists()


def test_a_picture_without_anything_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "white.png"
    Image.new("RGB", (90, 90), "white").save(file)
    assert main(["predict", str(run), str(file)]) == 2
    assert f"{file}: the picture is blank" in capsys.readouterr().err


def test_words_that_lack_something(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict"]) == 2
    assert "predict needs RUN: run folder" in capsys.readouterr().err
    assert main(["predict", str(run)]) == 2
    assert "PICTURE" in capsys.readouterr().err


def test_a_model_file_serves_as_well(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run / "model.safetensors", tmp_path / "model.safetensors")
    file = picture(tmp_path, 0, "one.png")
    words = ["predict", str(tmp_path / "model.safetensors"), str(file), "--out", str(tmp_path)]
    assert main(words) == 0
    assert (tmp_path / "one-decision.png").exists()
    assert "margin" in capsys.readouterr().out


@given(st.lists(st.sampled_from(["x.png", "x-2.png", "x-2-2.png", "y.png"])))
def test_no_picture_takes_the_place_of_another(files: list[str]) -> None:
    stems = list(predict._stems(tuple(map(Path, files))))
    assert len(set(stems)) == len(files)
    assert stems[:1] == [Path(file).stem for file in files[:1]]
