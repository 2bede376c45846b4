"""A damaged file is refused by its name, or read as it was; code in it never runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikemnist import load
from spikemnist.plasticity import STDPClassifier
from spikemnist.training.checkpoint import load_checkpoint
from tests.training.small_runs import new_classifier, run, same

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[Path], Any]

pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")

SENTINEL = "code-was-executed"


class Malice:
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (Path(SENTINEL),)


FOREIGN = (
    b"",
    b"[1, 2, 3]",
    b"<!DOCTYPE html><html><body>404 not found</body></html>\n",
    bytes(4096),
    pickle.dumps({"model": Malice()}),
)


@st.composite
def damaged(draw: st.DrawFn, original: bytes) -> bytes:
    """Draw a damage of a file: flipped bits, zeros, another length or order, foreign contents."""
    content, place = bytearray(original), draw(st.integers(0, len(original) - 1))
    kind = draw(st.sampled_from(["flip", "flip", "zeros", "cut", "swap", "grow", "foreign"]))
    if kind == "flip":
        for index in {place, *draw(st.lists(st.integers(0, len(original) - 1), max_size=3))}:
            content[index] ^= 1 << draw(st.integers(0, 7))
    elif kind == "zeros":
        content[place : place + 512] = bytes(len(content[place : place + 512]))
    elif kind == "cut":
        del content[place:]
    elif kind == "swap":
        content = content[place:] + content[:place]
    elif kind == "grow":
        content += draw(st.binary(min_size=1, max_size=99))
    else:
        content = bytearray(draw(st.sampled_from(FOREIGN)))
    assume(content != original)
    return bytes(content)


def classifier(path: Path) -> dict[str, Any]:
    """Return the parameters and the arrays of an STDP classifier."""
    loaded = load(path)
    return {**loaded.get_params(), "weights": torch.from_numpy(loaded.weights_)}


READERS: dict[str, Reader] = {
    "model.safetensors": lambda path: dict(load(path).state_dict()),
    "stdp.safetensors": classifier,
    "checkpoint.pt": lambda path: vars(load_checkpoint(path)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an undamaged file for each reader."""
    folder = tmp_path_factory.mktemp("files")
    images = torch.randint(0, 256, (60, 6, 6), generator=torch.Generator().manual_seed(0))
    fitted = STDPClassifier(5, duration=20.0, theta_plus=0.5, min_spikes=0)
    fitted.fit(images.byte(), torch.arange(60) % 2, progress=False)
    fitted.save(folder / "stdp.safetensors")
    run(folder, new_classifier(), epochs=1)
    return folder


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_damage_is_refused_or_harmless(files: Path, name: str, data: st.DataObject) -> None:
    read, original = READERS[name], (files / name).read_bytes()
    victim = files / f"victim-{name}"
    victim.write_bytes(data.draw(damaged(original)))
    try:
        value, message = read(victim), ""
    except (ValueError, OSError) as error:
        value, message = None, str(error)
    if value is None:
        assert victim.name in message
        assert len(message) < 1000
    else:
        assert same(value, read(files / name))
    assert not Path(SENTINEL).exists()
