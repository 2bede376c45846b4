"""``evaluate``, ``encode``, ``plot``, ``info``, and everything that people ask for by mistake."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from importlib.metadata import EntryPoint, EntryPoints
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikemnist import __version__
from spikemnist.cli import main, networks, pictures, sources
from spikemnist.cli.pictures import input_shape
from spikemnist.data import load_digits
from spikemnist.encoding import LatencyEncoder, registry
from spikemnist.energy import measure_energy
from spikemnist.models import LeakyMLP, load_model, save_model
from spikemnist.training import evaluate
from tests.cli.command import environment, spikemnist


def test_evaluate_tells_what_the_library_measures(run: Path) -> None:
    result = spikemnist("evaluate", run, cwd=run.parent)
    figures = evaluate(
        load_model(run / "model.safetensors"),
        load_digits()[1],
        encoder=LatencyEncoder(num_steps=8),
    )
    assert (
        f"accuracy          {figures.accuracy:.2%} of 1,000 test images of digits" in result.stdout
    )
    error = (figures.accuracy * (1 - figures.accuracy) / 1000) ** 0.5
    assert f"standard error {error:.2%}\n" in result.stdout
    assert f"input {figures.spikes_per_sample['input']:.1f}" in result.stdout
    assert f"{float(figures.accuracy_per_step[0]):.1%}" in result.stdout
    for word in ("silent, tied", "backend event_driven"):
        assert word in result.stdout


def test_evaluate_counts_the_energy(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--energy", "--memory", "1MB"]) == 0
    told = capsys.readouterr().out
    energy = measure_energy(
        load_model(run / "model.safetensors"),
        load_digits()[1],
        encoder=LatencyEncoder(num_steps=8, dtype=torch.uint8),
        memory="1MB",
    )
    total = energy.total
    assert re.search(rf"total +{total.dense:,.0f} +0 +{total.acs:,.0f} ", told)
    assert f"{energy.snn.total / 1000:,.1f}" in told
    assert f"{energy.ann_dense.total / 1000:,.1f}    100.0%" in told
    assert re.search(rf"0\.9 +{energy.early_exit(0.9).accuracy:.2%} ", told)
    for word in ("ANN, zeros skipped", "4.6 pJ per MAC", "ISSCC 2014", "12.5 pJ per byte of 1MB"):
        assert word in told
    assert "do not fit" not in told
    for words, message in (
        (
            ("--energy", "--technology", "3nm"),
            "--technology must be 45nm-fp16,",
        ),
        (("--energy", "--memory", "3KB"), "--memory must be 1MB, 32KB, 8KB or DRAM; got 3KB"),
        (("--memory", "8KB"), "--technology and --memory need --energy"),
    ):
        assert main(["evaluate", str(run), *words]) == 2
        assert message in capsys.readouterr().err


def test_a_memory_that_is_too_small_is_remarked_on(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--energy", "--memory", "32KB"]) == 0
    told = capsys.readouterr().out
    assert "bytes of this network do not fit into 32KB, and a larger memory costs more" in told


def test_evaluate_takes_a_model_file_and_another_backend(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run)]) == 0
    reference = capsys.readouterr().out.splitlines()
    words = [str(run / "model.safetensors"), "--backend", "snntorch", "--data", "digits"]
    assert main(["evaluate", *words]) == 0
    oracle = capsys.readouterr().out.splitlines()
    assert oracle[0] == reference[0]  # same accuracy
    assert oracle[-1].endswith("backend snntorch")


def test_encode_draws_and_stores(tmp_path: Path) -> None:
    spikemnist("encode", "--index", 4, "--out", "latency.png", cwd=tmp_path)
    with Image.open(tmp_path / "latency.png") as picture:
        assert min(picture.size) > 200
    words = ("--encoder", "rate", "--num-steps", 12, "--seed", 5, "--out", "rate.npy")
    result = spikemnist("encode", *words, cwd=tmp_path)
    spikes = np.load(tmp_path / "rate.npy")
    assert spikes.shape == (12, 28, 28)
    assert set(np.unique(spikes)) == {0, 1}
    assert f"{int(spikes.sum())} in 12 timesteps" in result.stdout
    spikemnist("encode", *words[:-1], "again.npy", cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "again.npy"), spikes)


def test_a_broken_plug_in_does_not_stop_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = EntryPoint("dusk", "dusk_encoders:DuskEncoder", "spikemnist.encoders")
    monkeypatch.setattr(registry, "entry_points", EntryPoints([broken]).select)
    said = spikemnist("encode", "--compare", cwd=tmp_path)
    assert "dusk        the encoder 'dusk' cannot be loaded" in said.stdout


def test_encode_compares_the_codes(tmp_path: Path) -> None:
    words = ("encode", "--compare", "--num-steps", 16, "--out", "codes.png")
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
    few = spikemnist(*words[:2], "--num-steps", 4, cwd=tmp_path).stdout
    assert "burst       the longest burst ends on timestep 6" in few


@pytest.mark.parametrize(
    ("given", "shape"),
    [((28, 28), (28, 28)), ((784,), (28, 28)), ((8, 28, 28), (224, 28)), ((100,), (1, 100))],
)
def test_the_input_is_drawn_as_the_image_is(given: tuple[int, ...], shape: tuple[int, int]) -> None:
    image = torch.zeros(28, 28)
    assert input_shape(torch.zeros(5, 1, *given), image) == shape


def test_plot_draws_the_chosen_image_of_other_data(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for file in (resources.files("spikemnist.data") / "embedded").iterdir():
        if file.name.endswith(".gz"):
            (folder / file.name).write_bytes(file.read_bytes())
    words = ("--data", "fashion_mnist", "--root", tmp_path, "--device", "cpu", "--index", 7)
    result = spikemnist("plot", run, *words, "--out", "pictures", cwd=tmp_path)
    written = {Path(line).name for line in result.stdout.splitlines()}
    assert written == {
        "encoding-7.png",
        "decision-7.png",
        "raster-7.png",
        "membrane-7.png",
        "spike_counts-7.png",
        "receptive_fields.png",
        "energy.png",
        "animation-7.gif",
    }
    with Image.open(tmp_path / "pictures" / "animation-7.gif") as animation:
        assert animation.n_frames == 8  # type: ignore[attr-defined]
    for name in written:
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert min(picture.size) > 200


def test_pictures_come_one_by_one(run: Path, tmp_path: Path) -> None:
    network = networks.find(run)
    model, encoder = network.model, network.encoder
    sample = sources.sample(load_digits()[1], 0)
    drawn = pictures.draw_sample(tmp_path, model, encoder, sample, seed=0)
    for number, path in enumerate(islice(drawn, 3), 1):
        assert path.exists()
        assert len(list(tmp_path.iterdir())) == number


def test_membranes_and_spikes_of_a_decision_are_in_the_same_order(run: Path) -> None:
    network = networks.find(run)
    model, encoder = network.model, network.encoder
    sample = sources.sample(load_digits()[1], 0)
    figure = pictures.decision(pictures.watch(model, encoder, sample.samples, seed=0), sample.label)
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
        heights = {
            int(text.get_text()): axes.transData.transform((0, y))[1]
            for y, text in ticks
            if text.get_text() in set("0123456789")
        }
        assert sorted(heights, key=heights.__getitem__) == list(reversed(range(10)))


def test_plot_names_a_device_that_is_not_there(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(run), "--device", "cuda:99"]) == 2
    assert "--device: " in capsys.readouterr().err


def test_encode_replaces_no_picture_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("encoding.png").write_text("mine", encoding="utf-8")
    assert main(["encode"]) == 0
    assert Path("encoding.png").read_text(encoding="utf-8") == "mine"
    printed = capsys.readouterr().out
    assert printed.endswith("written  encoding-2.png\n")
    assert "of digits, an 8\n" in printed


def test_info_tells_what_a_bug_report_needs(tmp_path: Path) -> None:
    out = spikemnist("info", cwd=tmp_path).stdout
    for word in (
        f"spikemnist  {__version__}",
        f"torch {torch.__version__}",
        "snntorch 1",
        "cpu",
        "reference, event_driven, triton, snntorch",
        "burst, delta, direct, events, latency, phase, population, rank_order, rate",
        "digits (in the package), MNIST",
    ):
        assert word in out


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_full_sets_are_read_from_the_root(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name]
    (tmp_path / folder / "raw").mkdir(parents=True)
    embedded = resources.files("spikemnist.data") / "embedded"
    for file in embedded.iterdir():
        if file.name.endswith(".gz"):
            (tmp_path / folder / "raw" / file.name).write_bytes(file.read_bytes())
    words = ["--data", name, "--root", str(tmp_path), "--out", str(tmp_path / "digit.npy")]
    assert main(["encode", *words]) == 0
    assert f"test image 0 of {name}" in capsys.readouterr().out
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path))
    assert main(["info"]) == 0
    assert f"in {tmp_path / folder / 'raw'}" in capsys.readouterr().out


def test_help_needs_no_more_than_ascii(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "spikemnist", "--help"],
        cwd=tmp_path,
        env={**environment(), "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"evaluate" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fit", "unknown command 'fit': commands are train, stdp, evaluate,"),
        ("classify", "; did you mean predict?"),
        ("trian", "; did you mean train?"),
        ("--data mnist train", "the command comes first"),
        ("train --model mpl", "--model must be conv or mlp; got mpl"),
        ("train --epochs", "--epochs needs a value"),
        ("train --debug=1", "--debug takes no value; got --debug=1"),
        ("train --hidden 8 a", "--hidden must be a whole number from 1 to 1,000,000; got a"),
        ("train --seed 1.5", "--seed must be a whole number from 0 to"),
        ("stdp --theta-plus high", "--theta-plus must be a number from 0 to 1,000; got high"),
        ("train --dta mnist", "did you mean --data?"),
        ("train --data cifar", "--data must be digits, fashion_mnist, mnist or nmnist; got cifar"),
        ("train --lr fast", "--lr"),
        ("train --lr 0", "--lr must be a positive, finite number; got 0"),
        ("train --lr nan", "--lr must be a positive, finite number; got nan"),
        ("train --epochs 0", "--epochs must be a whole number from 1 to 1,000,000; got 0"),
        (
            "train --batch-size -1",
            "--batch-size must be a whole number from 1 to",
        ),
        ("train --num-steps 0", "--num-steps must be a whole number from 1 to 100,000; got 0"),
        (
            "train --seed -1",
            "--seed must be a whole number from 0 to",
        ),
        ("train --hidden 0", "--hidden must be a whole number from 1 to 1,000,000; got 0"),
        ("train --model conv --layers 12K5-10", "'12K5' in layers='12K5-10' is none of 12C5"),
        ("train --model conv --encoder population", "conv needs a picture at each timestep"),
        ("train --encoder latncy", "did you mean 'latency'?"),
        (
            "train --backend numba",
            "--backend must be auto, event_driven, reference, snntorch or triton",
        ),
        ("train --device cuda:99", "is not available; choose from"),
        ("train --resume", "--resume needs --out"),
        ("train --resume --out nowhere", "is not a run folder"),
        ("train --out file.txt", "exists already and is never overwritten"),
        ("evaluate", "spikemnist evaluate needs RUN: run folder, model file, or pretrained:NAME"),
        ("evaluate nowhere", "no model at nowhere"),
        ("plot nowhere", "no model at nowhere"),
        ("encode --index 1000", "--index must lie in 0..999; got 1000"),
        ("encode --out digit.bmp", "--out must end in"),
        (
            "encode --encoder morse",
            "--encoder: unknown encoder 'morse'; choose from burst, delta, direct, events, "
            "latency, phase, population, rank_order, rate, or install the package that provides it",
        ),
        ("train --hidden 512,512", "got 512,512; separate values by spaces"),
        ("encode --compare --out codes.npy", "--compare draws a picture"),
        ("encode --compare --index -1", "--index must be a whole number, at least 0; got -1"),
        ("encode --encoder burst --num-steps 3", "raise num_steps to 7"),
        ("encode --seed -1", "--seed must be a whole number from 0 to"),
        ("encode --compare --num-steps 0", "--num-steps must be a whole number from 1 to"),
        ("encode --root data", "--root data does not apply to digits"),
        ("evaluate run --seed -1", "--seed must be a whole number from 0 to"),
        ("evaluate run --batch-size 0", "--batch-size must be a whole number from 1 to"),
        ("plot run --seed -1", "--seed must be a whole number from 0 to"),
        ("train --seed 18446744073709551616", "--seed must be a whole number from 0 to"),
        ("train --num-steps 100000000000000000000", "--num-steps must be a whole number from 1 to"),
        ("train --num-steps 1000000000", "--num-steps must be a whole number from 1 to 100,000"),
        ("train --hidden 1000000000000", "--hidden must be a whole number from 1 to"),
        ("train --model conv --layers 12C5-P2-12", "--layers must end in 10, a neuron for each"),
        ("train --root data", "--root data does not apply to digits"),
        ("stdp --neurons 1000000000000", "--neurons must be a whole number from 1 to"),
        ("stdp --seed -1", "--seed must be a whole number from 0 to"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("mine", encoding="utf-8")
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    # An encoder may have a kernel to compile before it can tell what shape it makes.
    (line,) = (line for line in captured.err.splitlines() if "compiling kernels" not in line)
    assert line.startswith("spikemnist: error: ")
    assert message in line
    assert {file.name for file in tmp_path.iterdir()} == {"file.txt"}  # nothing was begun


def test_a_wrong_request_as_a_process(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "spikemnist", "train", "--epochs", "0"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    message = "--epochs must be a whole number from 1 to 1,000,000; got 0"
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"spikemnist: error: {message}\n"


def test_a_failure_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"no model")
    assert main(["evaluate", str(file)]) == 1
    captured = capsys.readouterr()
    assert "is damaged, or not a file of spikemnist" in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


def test_debug_lets_the_error_through(tmp_path: Path) -> None:
    """Python shows the traceback and ends with exit code 1."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"no model")
    with pytest.raises(ValueError, match="is damaged"):
        main(["evaluate", str(file), "--debug"])


def test_a_diverging_run_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    words = ["train", "--lr", "1e38", "--hidden", "8", "--epochs", "1", "--out", str(folder)]
    assert main(words) == 1
    assert "the loss became" in capsys.readouterr().err
    assert (folder / "checkpoint.pt").exists()


def test_a_model_without_its_encoder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(LeakyMLP(hidden=(4,)), tmp_path / "model.safetensors")
    assert main(["evaluate", str(tmp_path / "model.safetensors")]) == 1
    assert "does not say which encoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "encoder", [{"name": "morse"}, {"name": "rate", "num_steps": None}, {"name": "rate", "x": 1}]
)
def test_an_encoder_that_cannot_be_made_is_a_failure_with_the_file(
    tmp_path: Path, encoder: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    file = save_model(LeakyMLP(hidden=(4,)), tmp_path / "model.safetensors", encoder=encoder)
    assert main(["evaluate", str(file)]) == 1
    assert f"{file} names an encoder that cannot be built: " in capsys.readouterr().err


@pytest.mark.filterwarnings("default:layer 'hidden 1' did not fire")
def test_warnings_are_one_line(tmp_path: Path) -> None:
    # One timestep and two neurons of first weights: too few spikes for them to fire.
    words = ("--num-steps", 1, "--hidden", 2, "--epochs", 1, "--batch-size", 5000, "--lr", 1e-9)
    warning, epoch = spikemnist("train", *words, cwd=tmp_path).stderr.splitlines()
    assert warning.startswith("spikemnist: warning: layer 'hidden 1' did not fire once")
    assert epoch.startswith("epoch 1/1  loss ")
