from __future__ import annotations

import gzip
import os
import runpy
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import torch

import spikemnist
import spikemnist.data
from spikemnist.data import load_digits, load_mnist
from tests.data.idx_files import FILES

PACKAGE = Path(spikemnist.__file__).parent
EMBEDDED = PACKAGE / "data" / "embedded"
SCRIPT = Path(__file__).parents[2] / "scripts" / "make_digits.py"


def test_sizes_types_and_classes():
    for data, per_class in zip(load_digits(), (500, 100), strict=True):
        assert data.images.shape == (10 * per_class, 28, 28)
        assert data.images.dtype == torch.uint8
        assert data.labels.dtype == torch.int64
        assert data.labels.bincount().tolist() == [per_class] * 10
        assert data.classes == tuple("0123456789")


def test_every_ten_images_show_each_digit_in_a_changing_order():
    train, _ = load_digits()
    rows = train.labels.view(-1, 10)
    assert torch.equal(rows.sort(1).values, torch.arange(10).expand(500, 10))
    assert len(rows.unique(dim=0)) > 490


def test_images_differ_from_one_another():
    train, test = load_digits()
    pixels = torch.cat([train.images, test.images]).flatten(1)
    assert len(pixels.unique(dim=0)) == 6000


def test_images_show_what_the_labels_say():
    train, test = load_digits()
    means = torch.stack([train.images[train.labels == c].float().mean(0) for c in range(10)])
    distances = torch.cdist(test.images.float().flatten(1), means.flatten(1))
    # The nearest class mean reaches 82 % on the full MNIST.
    assert (distances.argmin(1) == test.labels).float().mean() > 0.77


def test_each_call_gives_tensors_of_its_own():
    load_digits()[0].images.zero_()
    assert load_digits()[0].images.any()


def test_loading_is_quick():
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        load_digits()
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1


USE = """
import sys
import spikemnist.data
train, test = spikemnist.data.load_digits()
print(spikemnist.data.__file__, len(train), len(test))
print(sorted({"torchvision", "matplotlib", "numba", "snntorch", "scipy"} & set(sys.modules)))
"""


def test_digits_load_from_a_zip_file_and_nothing_heavy_is_imported(tmp_path):
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in PACKAGE.rglob("*"):
            if path.suffix in (".py", ".gz"):
                file.write(path, Path("spikemnist") / path.relative_to(PACKAGE))
    # Unmeasured by coverage, which would look for the sources of the zip file later.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", USE],
        env={**inherited, "PYTHONPATH": str(archive)},
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    loaded, heavy = done.stdout.splitlines()
    place, train, test = loaded.split()
    assert place.startswith(str(archive))
    assert (train, test) == ("5000", "1000")
    assert heavy == "[]"


def test_the_licence_lies_beside_the_files():
    text = (EMBEDDED / "LICENSE.txt").read_text(encoding="utf-8")
    for needed in (
        *("Yann LeCun", "Corinna Cortes", "Christopher J.C. Burges", "MNIST", "subset"),
        *("CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0/"),
    ):
        assert needed in text


def test_the_files_are_small():
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 1_000_000


def test_the_script_makes_what_is_shipped(mnist_root, tmp_path):
    script = runpy.run_path(str(SCRIPT))
    script["main"]([str(mnist_root), "--out", str(tmp_path)])
    for name in FILES:
        made = (tmp_path / f"{name}.gz").read_bytes()
        content = gzip.decompress(made)
        # Unpacked, because another zlib may pack the same bytes in another way.
        assert content == gzip.decompress((EMBEDDED / f"{name}.gz").read_bytes())
        assert script["pack"](content) == made
        assert made[3:8] == bytes(5)  # neither a file name nor a time


def test_digits_are_images_of_the_official_splits(mnist_root):
    for digits, full in zip(load_digits(), load_mnist(mnist_root), strict=True):
        known = {
            image.numpy().tobytes(): int(label)
            for image, label in zip(full.images, full.labels, strict=True)
        }
        for image, label in digits:
            assert known[image.numpy().tobytes()] == label
