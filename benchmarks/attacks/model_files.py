"""Damaged models, checkpoints, STDP files and configurations must be detected and named."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
import torch

from benchmarks.attacks.attack import Attack, one_line
from benchmarks.attacks.damage import damage, executed, malicious
from spikemnist.cli import main
from spikemnist.data import load_digits
from spikemnist.encoding import RateEncoder
from spikemnist.models import LeakyConvNet, LeakyMLP, load_model, save_model
from spikemnist.plasticity import STDPClassifier
from spikemnist.training import fit

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from torch import Tensor

    from spikemnist.training import History

EPOCHS = 4


def models(folder: Path) -> dict[str, Path]:
    """Save a network of each kind."""
    torch.manual_seed(0)
    return {
        "mlp": save_model(LeakyMLP(hidden=(8,)), folder / "mlp.safetensors"),
        "conv": save_model(LeakyConvNet("2C5-P4-10"), folder / "conv.safetensors"),
    }


def model_case(material: dict[str, Path], draw: random.Random, folder: Path) -> str | None:
    """Damage a model file, or put NaN into one of its tensors."""
    sound = material[draw.choice(sorted(material))]
    victim = folder / "victim.safetensors"
    how = _damage_safetensors(sound, victim, draw)
    return _check_read(
        victim, how, lambda path: load_model(path).state_dict(), load_model(sound).state_dict()
    )


def stdp(folder: Path) -> Path:
    """Train a few neurons by STDP and save them."""
    train, _ = load_digits()
    classifier = STDPClassifier(20, duration=50.0, theta_plus=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier.fit(train.images[:100], train.labels[:100], progress=False)
    return Path(classifier.save(folder / "stdp.safetensors"))


def stdp_case(material: Path, draw: random.Random, folder: Path) -> str | None:
    """Damage an STDP file, or put NaN into one of its arrays."""
    victim = folder / "victim.safetensors"
    how = _damage_safetensors(material, victim, draw)
    return _check_read(victim, how, _learned, _learned(material))


def _learned(path: Path) -> dict[str, Tensor]:
    copy = path.with_name("again.safetensors")
    STDPClassifier.load(path).save(copy)
    arrays = safetensors.numpy.load_file(copy)
    copy.unlink()
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _damage_safetensors(sound: Path, victim: Path, draw: random.Random) -> str:
    if draw.random() < 0.25:
        return _plant(sound, victim, draw)
    how, data = damage(sound.read_bytes(), draw)
    victim.write_bytes(data)
    return how


def _plant(sound: Path, victim: Path, draw: random.Random) -> str:
    """Write a well-formed file in which one number is not finite."""
    with safetensors.safe_open(sound, framework="numpy") as file:
        metadata = file.metadata()
    arrays = {name: array.copy() for name, array in safetensors.numpy.load_file(sound).items()}
    floating = sorted(name for name, array in arrays.items() if array.dtype.kind == "f")
    name, value = draw.choice(floating), draw.choice((np.nan, np.inf, -np.inf))
    arrays[name].reshape(-1)[draw.randrange(arrays[name].size)] = value
    safetensors.numpy.save_file(arrays, victim, metadata)
    return f"{value} planted in {name}"


def _check_read(
    victim: Path, how: str, read: Callable[[Path], Any], expected: dict[str, Tensor]
) -> str | None:
    """Return a failure unless the file is refused by name, read as before, or warned about."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = read(victim)
    except (ValueError, OSError) as error:
        if victim.name not in str(error):
            return f"{how}: does not name the file: {one_line(error)}"
        return _short(how, error)
    except Exception as error:
        return f"{how}: {one_line(error)}"
    if _same(found, expected) or (warned and "planted" in how):
        return executed()
    return f"{how}: read without a word, with other contents"


def _short(how: str, error: BaseException) -> str | None:
    if len(str(error)) > 1000:
        return f"{how}: a message of {len(str(error))} characters: {one_line(error)}"
    return executed()


def _same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def checkpoints(folder: Path) -> dict[str, Any]:
    """Train for four epochs, and keep the checkpoint of the second one."""
    file, half = folder / "checkpoint.pt", folder / "half.pt"

    def keep(history: History, model: Any) -> None:
        del model
        if len(history) == 2:
            shutil.copy(file, half)

    return {"half": half.read_bytes, "weights": _train(file, callbacks=[keep])}


def _train(file: Path, **options: Any) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = LeakyMLP(hidden=(8,), threshold=0.3)
    train, _ = load_digits()
    options = {"encoder": RateEncoder(num_steps=3), "epochs": EPOCHS, "batch_size": 50, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, train[:100], checkpoint=file, progress=False, **options)
    return model.state_dict()


def checkpoint_case(material: dict[str, Any], draw: random.Random, folder: Path) -> str | None:
    """Resume from a damaged checkpoint, or from a malicious file in its place."""
    file = folder / "checkpoint.pt"
    how, data = malicious(draw) if draw.random() < 0.2 else damage(material["half"](), draw)
    file.write_bytes(data)
    try:
        weights = _train(file, resume=True)
    except (ValueError, OSError) as error:
        text = str(error)
        if file.name not in text:
            return f"{how}: does not name the file: {one_line(error)}"
        if "weights_only" in text or "\n" in text:
            return f"{how}: quotes torch: {one_line(error)}"
        return _short(how, error)
    except Exception as error:
        return f"{how}: {one_line(error)}"
    if not _same(weights, material["weights"]):
        return f"{how}: resumed without a word, to other weights"
    return executed()


def runs(folder: Path) -> Path:
    """Make the run folder of a small training."""
    place = folder / "run"
    words = ["train", "--epochs", "1", "--hidden", "4", "--num-steps", "2", "--out", str(place)]
    code, _, complaint = command(words)
    if code:
        raise RuntimeError(f"the sound run failed: {complaint}")
    return place


def command(words: list[str]) -> tuple[int, str, str]:
    """Run a command in this process, and return exit code, standard output and error."""
    out, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaint):
        try:
            code = main(words)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return code, out.getvalue(), complaint.getvalue()


def config_case(material: Path, draw: random.Random, folder: Path) -> str | None:
    """Damage the configuration of a run, or change a value in it, and evaluate the run."""
    run = folder / "run"
    run.mkdir()
    shutil.copy(material / "model.safetensors", run)
    sound = (material / "config.json").read_bytes()
    how, data = _other_value(sound, draw) if draw.random() < 0.5 else damage(sound, draw)
    (run / "config.json").write_bytes(data)
    try:
        code, _, complaint = command(["evaluate", str(run)])
    except Exception as error:
        return f"{how}: {one_line(error)}"
    if code == 0:
        return None if _is_object(data) else f"{how}: evaluated, with a file that is no JSON object"
    if complaint.count("\n") != 1 or len(complaint) > 600 or "Traceback" in complaint:
        return f"{how}: {len(complaint)} characters of complaint: {complaint[:200]!r}"
    if not _is_object(data) and "config.json" not in complaint:
        return f"{how}: does not name the file: {complaint[:200]!r}"
    return None


def _other_value(sound: bytes, draw: random.Random) -> tuple[str, bytes]:
    config = json.loads(sound)
    name = draw.choice(sorted(config))
    deep = "[" * 200_000 + "]" * 200_000
    value: object = draw.choice((None, -1, 1e400, "x", [], {}, [[]], True, "\u0000", 2**70, deep))
    config[name] = value
    text = json.dumps(config)
    if value == deep:
        text = text.replace(json.dumps(deep), deep)
    shown = "200,000 brackets" if value == deep else repr(value)
    return f"{name} = {shown}", text.encode()


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data.decode("utf-8")), dict)
    except (ValueError, RecursionError):
        return False


NOTICED = "is refused by the name of the file, or read as it was; no code in it runs."

ATTACKS = (
    Attack(
        name="model",
        expectation=f"A damaged model {NOTICED} NaN in it is warned of.",
        prepare=models,
        case=model_case,
    ),
    Attack(
        name="stdp",
        expectation=f"A damaged file of STDP {NOTICED} NaN in it is warned of.",
        prepare=stdp,
        case=stdp_case,
    ),
    Attack(
        name="checkpoint",
        expectation=f"A damaged or malicious checkpoint {NOTICED}",
        prepare=checkpoints,
        case=checkpoint_case,
    ),
    Attack(
        name="config",
        expectation="A damaged config.json gives one short line that names it.",
        prepare=runs,
        case=config_case,
    ),
)
