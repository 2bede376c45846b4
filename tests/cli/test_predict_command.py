"""``spikemnist predict``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spikemnist import decide, load, load_digits
from tests.cli.command import answers, fields, spikemnist

DIGITS = load_digits()[1]


def picture(folder: Path, index: int, name: str, *, inverted: bool = False) -> Path:
    pixels = DIGITS.images[index].numpy()
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(255 - pixels if inverted else pixels).resize((280, 280)).save(file)
    return file


def decided(run: Path, file: Path) -> dict[str, Any]:
    """Return what the library says of a picture, as JSON."""
    values: dict[str, Any] = json.loads(json.dumps(decide(load(run), file).to_json()))
    return values


def test_several_pictures(run: Path, tmp_path: Path) -> None:
    """Drawings of pictures that share a name have a number, also where case alone differs."""
    files = [picture(tmp_path, 0, "one.png"), picture(tmp_path, 1, "two.jpg", inverted=True)]
    files += [picture(tmp_path / "other", 2, name) for name in ("one-2.png", "one.png")]
    files.append(picture(tmp_path / "third", 0, "ONE.png"))
    results = answers("predict", run, *files, "--out", "out", cwd=tmp_path)
    names = [f"{name}-decision.png" for name in ("one", "two", "one-2", "one-3", "ONE-4")]
    for result, file, name in zip(results, files, names, strict=True):
        more = {"picture": str(file), "written": [str(Path("out", name))]}
        assert result == decided(run, file) | more
    assert {file.name for file in (tmp_path / "out").iterdir()} == {*names}


def test_a_folder_has_a_row_for_each_picture(run: Path, tmp_path: Path) -> None:
    files = [picture(tmp_path / "mine", 1, "a.PNG"), picture(tmp_path / "mine", 0, "b.png")]
    files.append(tmp_path / "mine" / "two.png")
    Image.fromarray(np.hstack([*DIGITS.images[:2].numpy()])).save(files[-1])
    (tmp_path / "mine/notes.txt").write_text("no picture", encoding="utf-8")
    decisions = {str(Path("mine", file.name)): decide(load(run), file) for file in files}
    head, *rows = spikemnist("predict", run, "mine", cwd=tmp_path).stdout.splitlines()
    assert head.split() == ["picture", "margin", "prediction"]
    assert [row.split(maxsplit=2) for row in rows] == [
        [name, f"{decision.margin:.2f}", decision.answer] for name, decision in decisions.items()
    ]
    assert "ink in 2 parts" in rows[2]
    brief = spikemnist("predict", run, "mine", "--quiet", cwd=tmp_path).stdout.splitlines()
    assert brief == [f"{name}: {decision.answer}" for name, decision in decisions.items()]


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


def test_a_model_file_and_an_animation(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "model.safetensors", tmp_path / "model.safetensors")
    file = picture(tmp_path, 0, "one.png")
    words = ("predict", "model.safetensors", "one.png", "--gif", "--invert", "yes")
    words += ("--format", "svg")
    result = fields(spikemnist(*words, cwd=tmp_path).stdout)
    written = {"picture": "one.png", "written": "one-decision.svg, one-animation.gif"}
    assert result == dict(decide(load(run), file, invert=True).table().rows) | written
    assert "<svg" in (tmp_path / "one-decision.svg").read_text("utf-8")
    with Image.open(tmp_path / "one-animation.gif") as animation:
        assert animation.n_frames == 8  # type: ignore[attr-defined]
