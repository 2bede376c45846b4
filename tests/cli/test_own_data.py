"""``--data PATH``: sets of one's own, from training to predictions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import spikemnist as library
from spikemnist.cli import pictures
from tests.cli.command import answers, error, spikemnist

COLOURS = ("blue", "green", "red")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with pictures of three colours, 16 wide and 20 high."""
    folder = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 5)):
        for channel, name in ((2, "blue"), (1, "green"), (0, "red")):
            place = folder / "pictures" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 60, (20, 16, 3), np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    words = ("--hidden", 20, "--epochs", 4, "--batch-size", 10, "--out", "mlp")
    printed = spikemnist("train", "--data", "pictures", *words, cwd=home).stdout
    assert "export" not in printed  # no page for such images
    return home / "mlp"


def test_the_network_follows_from_the_pictures(home: Path, run: Path) -> None:
    classifier = library.load(run)
    assert (classifier.network.config["in_features"], classifier.classes) == (3 * 20 * 16, COLOURS)


def test_the_last_number_of_layers_follows_from_the_classes(home: Path) -> None:
    words = ("train", "--data", "pictures", "--model", "conv", "--epochs", 1, "--batch-size", 30)
    (result,) = answers(*words, "--num-steps", 1, cwd=home)
    assert "pictures-direct" in result["run"]
    network = library.load(home / result["run"]).network
    assert (network.in_shape, network.config["layers"]) == ((3, 20, 16), "12C5-P2-64C5-P2-3")
    resumed = ("train", "--resume", "--out", result["run"])
    assert answers(*resumed, cwd=home)[0]["test"] == result["test"] | {
        "seconds": pytest.approx(0, abs=99)
    }
    message = error(*words, "--layers", "4C3-10", cwd=home)
    assert message.startswith("--layers must end in 3, the number of classes; got 10")


def test_the_run_names_its_data(home: Path, run: Path) -> None:
    (result,) = answers("evaluate", run, cwd=home.parent)  # the path does not depend on the folder
    assert result["data"] == str(home / "pictures")
    assert result["test"]["samples"] == 15
    assert result["test"]["accuracy"] > 0.9
    (written,) = answers("plot", run, "--out", "plots", cwd=home)
    assert all((home / file).is_file() for file in written["written"])


def test_a_folder_that_lacks_a_class(home: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "pictures", tmp_path / "some", ignore=shutil.ignore_patterns("green"))
    (result,) = answers("evaluate", run, "--data", "some", cwd=tmp_path)
    assert result["test"]["accuracy"] > 0.9
    _, test = library.load_images(tmp_path / "some")
    drawn = pictures.of_sample(library.load(run), test, 9, names=("decision",))
    titles = [axes.get_title(loc="left") for axes in drawn["decision-9"].axes]
    assert "class red, true class red" in " ".join(titles).replace("\n", " ")
    (tmp_path / "some/test/red").rename(tmp_path / "some/test/yellow")
    message = error("evaluate", run, "--data", "some", cwd=tmp_path, code=1)
    assert "('blue', 'green', 'red'); got ('blue', 'red', 'yellow'): leave out" in message


def test_pictures_are_predicted_as_they_are(home: Path, run: Path) -> None:
    (result,) = answers("predict", run, "pictures/test/green/0.png", cwd=home)
    assert (result["classes"][0], result["pixels"], result["strokes"]) == ("green", [16, 20], None)
    message = error("predict", run, "pictures/test", "--invert", "yes", cwd=home)
    assert message.startswith("--invert would do nothing for")
    Image.new("RGB", (28, 28), "red").save(home / "large.png")
    words = ("predict", run, "large.png", "pictures/test/green/0.png", "--quiet")
    out, err = spikemnist(*words, cwd=home, code=1)
    assert err.startswith("spikemnist: error: large.png: expected spikes")
    assert "(8, 1, 3, 28, 28)" in err
    assert out.startswith(f"{Path('pictures/test/green/0.png')}: 1, green")


def test_pictures_of_clothes_are_not_prepared_as_digits(
    home: Path, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "clothes")
    file = tmp_path / "clothes" / "config.json"
    config = json.loads(file.read_text("utf-8"))
    config["data"]["name"] = "fashion_mnist"
    file.write_text(json.dumps(config), "utf-8")
    picture = home / "pictures" / "test" / "green" / "0.png"
    (result,) = answers("predict", "clothes", picture, cwd=tmp_path)
    assert (result["classes"][0], result["strokes"]) == ("green", None)


def test_a_colour_is_encoded(home: Path) -> None:
    (result,) = answers("encode", "--data", "pictures", "--index", 14, cwd=home)
    assert (result["label"], result["shape"]) == ("red", [3, 20, 16])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "train --data picturs",
            "--data: unknown 'picturs'; choose from digits, mnist, fashion_mnist, nmnist, a path",
        ),
        ("train --data pictures --root .", "--root would do nothing for --data with a path; leave"),
        ("train --data pictures --encoder events", "--encoder events does not read"),
    ],
)
def test_wrong_requests(home: Path, words: str, message: str) -> None:
    assert error(*words.split(), cwd=home).startswith(message)


def test_a_set_that_cannot_be_read_leaves_no_run(home: Path) -> None:
    message = error("train", "--data", "nowhere/", "--out", "none", cwd=home, code=1)
    assert message.startswith(f"no data at {home / 'nowhere'}. Expected IDX files with the names")
    assert not (home / "none").exists()


def test_a_run_resizes_what_it_reads(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "pictures", tmp_path / "pictures")
    odd = tmp_path / "pictures" / "train" / "red" / "0.png"
    Image.open(odd).resize((90, 70)).save(odd)
    words = ("train", "--data", "pictures", "--hidden", 20, "--epochs", 2, "--out", "run")
    assert "pass size=28, or --size 28" in error(*words, cwd=tmp_path, code=1)
    (result,) = answers(*words, "--size", "12x10", cwd=tmp_path)
    assert library.load(tmp_path / "run").network.config["in_features"] == 3 * 12 * 10
    (again,) = answers("evaluate", "run", cwd=tmp_path)
    assert again["test"]["accuracy"] == result["test"]["accuracy"]
    (decision,) = answers("predict", "run", odd, cwd=tmp_path)
    assert decision["pixels"] == [10, 12]  # as the network sees it
    message = error("train", "--size", 28, cwd=tmp_path)
    assert message.startswith("--size would do nothing for digits, whose images have one size")
    message = error("train", "--data", "pictures", "--size", "8xx", cwd=tmp_path)
    assert message.startswith("--size must be a whole number from 1 to 10,000; got 'x'")
