"""Train the networks that come with the package, measure them, and write their cards.

    python scripts/make_pretrained.py mnist-mlp mnist-conv    train, measure, write files and page
    python scripts/make_pretrained.py mnist-mlp --keep        the same without training
    python scripts/make_pretrained.py                         write the page alone, from the cards

Each network is trained by its command with three seeds. The network of seed 0 is kept, whatever its
accuracy. Runs are stored in --runs; a finished run is not repeated, and an interrupted run is
resumed. MNIST is found as by `spikemnist train`.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import snntorch
import torch

from spikemnist import Classifier, __version__, load, measure_limits, viz
from spikemnist.data import ImageDataset, load_mnist
from spikemnist.encoding.registry import describe_encoder
from spikemnist.energy import measure_energy
from spikemnist.training import Robustness, evaluate, measure_robustness

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "src" / "spikemnist" / "models" / "weights"
PAGE = ROOT / "docs" / "pretrained.md"
PICTURE = ROOT / "docs" / "pretrained-robustness.png"

Card = dict[str, Any]

SEEDS = (0, 1, 2)
COMMANDS = {
    "mnist-conv": "spikemnist train --data mnist --model conv --epochs 20 --batch-size 128 "
    "--augment affine",
    "mnist-mlp": "spikemnist train --data mnist --hidden 128 --epochs 45 --batch-size 128 "
    "--augment affine",
    "mnist-sparse": "spikemnist train --data mnist --recipe sparse --hidden 200 --epochs 45 "
    "--spike-penalty 1.5e-4",
}
"""The command that trains each network; ``--seed`` and ``--out`` are added to it."""

LIMITED = 5000
"""Number of test images for the limits of doubt: the networks have seen all training images."""

SUMMARIES = {
    "mnist-conv": "The most accurate and the smallest of the three: two convolutions with pooling.",
    "mnist-mlp": "A small multilayer network, for a first look and for small devices.",
    "mnist-sparse": "Few spikes: one for each lit pixel, and the first output spike decides.",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(COMMANDS)}")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "pretrained")
    parser.add_argument("--keep", action="store_true", help="measure the networks as they are")
    options = parser.parse_args()
    if unknown := set(options.names) - set(COMMANDS):
        parser.error(f"no network {', '.join(unknown)}: there are {', '.join(COMMANDS)}")
    for name in options.names:
        file = weights(name).with_suffix(".json")
        origin = json.loads(file.read_text("utf-8")) if options.keep else make(name, options.runs)
        card = origin | measure(name)
        file.write_text(f"{json.dumps(card, indent=2)}\n", encoding="utf-8")
    cards = read_cards()
    PAGE.write_text(page(cards), encoding="utf-8")
    robustness = {card["name"]: as_robustness(card) for card in cards}
    viz.robustness(robustness).savefig(PICTURE, dpi=120)
    return 0


def weights(name: str) -> Path:
    return WEIGHTS / f"{name}.safetensors"


def read_cards() -> list[Card]:
    files = sorted(WEIGHTS.glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def train(name: str, seed: int, runs: Path) -> Path:
    """Run the command of a network with a seed unless it is done, and return the run folder."""
    folder = runs / f"{name}-{seed}"
    if not (folder / "model.safetensors").exists():
        words = [*shlex.split(COMMANDS[name])[1:], "--seed", str(seed), "--out", str(folder)]
        if (folder / "config.json").exists():
            words = ["train", "--resume", "--out", str(folder)]
        subprocess.run([sys.executable, "-m", "spikemnist", *words], check=True)
    return folder


def make(name: str, runs: Path) -> Card:
    """Train a network, write its file, and return what its card says of the training."""
    _, test = load_mnist()
    folders = [train(name, seed, runs) for seed in SEEDS]
    classifiers: list[Any] = [load(folder) for folder in folders]
    accuracies = [evaluate(classifier, test).accuracy for classifier in classifiers]
    classifiers[0].save(weights(name))
    return {
        "name": name,
        "command": f"{COMMANDS[name]} --seed {SEEDS[0]}",
        "accuracies": dict(zip(map(str, SEEDS), accuracies, strict=True)),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "versions": {
            "spikemnist": __version__,
            "torch": torch.__version__,
            "snntorch": snntorch.__version__,
        },
    }


def measure(name: str) -> Card:
    """Write the limits of a network into its file, and return what was measured.

    Operations and spikes are per image, energies in nJ.
    """
    _, test = load_mnist()
    classifier: Any = load(weights(name))
    classifier.limits = measure_limits(classifier, test[:LIMITED])
    classifier.save(weights(name))
    evaluation = evaluate(classifier, test)
    energy = measure_energy(classifier, test)
    robustness = measure_robustness(classifier, test)
    total = energy.total
    return {
        "accuracy": evaluation.accuracy,
        "samples": evaluation.samples,
        "spike_count": count_spikes(classifier, test),
        "encoder": describe_encoder(classifier.encoder),
        "bytes": weights(name).stat().st_size,
        "spikes": {"input": None, **evaluation.spikes_per_sample},  # null for a current
        "operations": {
            "acs": total.acs,
            "macs": total.macs,
            "decays": total.decays,
            "ann_macs": total.dense / energy.num_steps,
        },
        "energy": {
            "snn": energy.snn.total / 1000,
            "snn_neurons": energy.snn.neurons / 1000,
            "ann_dense": energy.ann_dense.total / 1000,
            "ann_skipping": energy.ann_skipping.total / 1000,
        },
        "robustness": robustness.accuracy,
    }


def count_spikes(classifier: Any, test: ImageDataset) -> Card:
    """Return the accuracy for who counts output spikes, by what decides a tie."""
    network = classifier.network
    counting = type(network)(**network.config | {"readout": "spike_count"})
    counting.load_state_dict(network.state_dict())
    evaluation = evaluate(Classifier(counting, classifier.encoder), test)
    with torch.inference_mode():
        counts = [classifier(images).spikes.sum(0) for images, _ in test.batches(500)]
    first = torch.cat(counts).argmax(1)
    return {
        "accuracy": evaluation.accuracy,
        "tied": evaluation.tied,
        "lowest_class": float((first == test.labels).double().mean()),
    }


def commit() -> str:
    words = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def as_robustness(card: Card) -> Robustness:
    accuracy = {
        name: {float(level): share for level, share in shares.items()}
        for name, shares in card["robustness"].items()
    }
    return Robustness(card["accuracy"], accuracy, card["samples"])


def page(cards: list[Card]) -> str:
    """Return the page of the documentation, built from the cards."""
    return "\n\n".join([HEAD, *map(card_text, cards), FOOT]) + "\n"


def card_text(card: Card) -> str:
    spikes = ", ".join(
        f"{name} {'a current' if count is None else f'{count:.1f}'}"
        for name, count in card["spikes"].items()
    )
    encoder = card["encoder"]
    classifier: Any = load(card["name"])
    head, rows_of_layers = classifier.network.table()[1:3]
    neurons = dict.fromkeys(
        ", ".join(map(" ".join, zip(head[4:], row[4:], strict=True))) for row in rows_of_layers
    )
    shares = [100 * share for share in card["accuracies"].values()]
    seeds = ", ".join(f"{share:.2f}" for share in shares)
    operations, energy, counted = card["operations"], card["energy"], card["spike_count"]
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    rows = {
        "Accuracy": f"{card['accuracy']:.2%} of the {card['samples']:,} test images of MNIST, "
        f"standard error {standard_error(card):.2%}",
        "Seeds 0, 1, 2": f"{seeds} %, mean {statistics.mean(shares):.2f} %; seed 0 is the one here",
        "Counting output spikes": f"{counted['accuracy']:.2%}; {counted['lowest_class']:.2%} where "
        f"a tie, {counted['tied']:.1%} of the images, goes to the lowest class",
        "Code": f"{encoder['name']}, {encoder['num_steps']} timesteps",
        "Leaky neurons": "; ".join(neurons),
        "Size": f"{card['bytes'] / 1024:.0f} KiB",
        "Spikes per image": spikes,
        "Operations per image": f"{operations['acs']:,.0f} additions and {operations['macs']:,.0f} "
        f"multiplications of weights, {operations['decays']:,} multiplications of membranes by "
        f"beta; an ANN of these layers: {operations['ann_macs']:,.0f} multiplications",
        "Energy per image": f"{energy['snn']:,.1f} nJ, of which membranes take "
        f"{energy['snn_neurons']:,.1f} nJ; {energy['ann_dense']:,.1f} nJ for the ANN, "
        f"{energy['ann_skipping']:,.1f} nJ where it skips zeros",
        "Command": f"`{card['command']}`",
        "Made": f"{card['date']}, at commit {card['commit']}; {versions}",
    }
    layers = [row[:4] for row in rows_of_layers]
    tables = [markdown(head[:4], layers), markdown(("", ""), rows.items())]
    return "\n\n".join([f"## {card['name']}", SUMMARIES[card["name"]], *tables])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
    return "\n".join(lines)


def standard_error(card: Card) -> float:
    return math.sqrt(card["accuracy"] * (1 - card["accuracy"]) / card["samples"])


HEAD = """# Pretrained networks

<!-- Written by `python scripts/make_pretrained.py`, from the cards beside the weights. -->

Networks that come with the package, trained on MNIST, each with its encoder. From Python:

```python
import spikemnist

classifier = spikemnist.load("mnist-conv")
```

{func}`~spikemnist.models.available_pretrained` lists the names. On the command line, a name stands
for a run in every command that takes one:

```bash
spikemnist predict mnist-conv digit.png
spikemnist evaluate mnist-mlp mnist-conv --robustness
spikemnist plot mnist-sparse
```

A file or a run folder of that name goes before it.

The accuracy was measured after the last epoch. The settings were chosen on training images that
were held back. Who counts output spikes, as a chip or another tool does, cannot decide a tie by
membranes: {doc}`guide/readouts`. The limits of doubt were measured on the first 5,000 test images.
The energy is an estimate with the numbers of {doc}`guide/energy`, memory left out. The networks
were trained with one thread: the sums of torch's convolutions depend on the number of threads."""

FOOT = """## Under disturbances

Accuracy on the 10,000 test images of MNIST, disturbed as
{func}`~spikemnist.training.measure_robustness` says; level 0 is undisturbed.

```{image} pretrained-robustness.png
:alt: Accuracy of the pretrained networks against noise, shift, rotation and dropped spikes
```"""


if __name__ == "__main__":
    raise SystemExit(main())
