"""Draw the pictures of the README and the documentation, from networks trained on the digits.

    python scripts/make_pictures.py [--out FOLDER]

Data, network and settings are the same as in ``spikemnist train``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from spikemnist import viz
from spikemnist._atomic import write_atomically
from spikemnist.data import load_digits
from spikemnist.models import Classifier, LeakyMLP, Record
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier, pair_stdp
from spikemnist.training import TrainConfig, fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "docs" / "_static"
INDEX = 763
"""Index of the test image: an eight that the network takes for a three at first."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the README.")
    parser.add_argument("--out", type=Path, default=STATIC, help="folder to write to")
    options = parser.parse_args()
    draw_example(options.out / "example")
    record, label = watch_a_digit()
    for name, figure in {**learned(), "window": window()}.items():
        write_atomically(options.out / f"stdp-{name}.svg", figure.savefig)
    animation = viz.animate(record, label=label)
    write_atomically(
        options.out / "digit.gif", lambda file: animation.save(file, writer="pillow", dpi=120)
    )


def draw_example(folder: Path) -> None:
    """Run the program of the README, which draws its pictures into the folder it runs in."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    folder.mkdir(parents=True, exist_ok=True)
    program = f"import torch; torch.manual_seed(0)\n{program}"  # of the spikes that it draws
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)


def watch_a_digit() -> tuple[Record, int]:
    train, test = load_digits()
    classifier = Classifier(LeakyMLP(hidden=(512,), seed=0), "latency")
    fit(classifier, train, TrainConfig(epochs=10, batch_size=64, lr=1e-2, schedule="one_cycle"))
    classifier.cpu().eval()
    image, label = test[INDEX]
    with torch.no_grad():
        record = classifier(image[None], record="all")
    return record, int(label)


def learned() -> dict[str, Figure]:
    """Draw what neurons learned that see whole digits, and what features learned."""
    train, _ = load_digits()
    neurons = STDPClassifier(n_neurons=100).fit(train.images, train.labels)
    features = ConvSTDPClassifier().fit(train.images, train.labels)
    return {
        "fields": viz.receptive_fields(neurons, neurons=range(42)),
        "features": viz.receptive_fields(features, neurons=range(24)),
    }


def window() -> Figure:
    """Draw the STDP window from pairs of spikes given to the rule, not from its closed form."""
    lags = torch.arange(-60, 61)
    changes = []
    for lag in lags.tolist():
        pre, post = torch.zeros(122, 1, 1), torch.zeros(122, 1, 1)
        pre[60], post[60 + lag] = 1, 1
        changes.append(float(pair_stdp(pre, post, torch.full((1, 1), 0.5))) - 0.5)
    return viz.stdp_window(lags, changes)


if __name__ == "__main__":
    main()
