"""Read features that STDP learned: by neurons that vote, or by a support vector machine.

    python -m benchmarks.readouts votes --seed 0
    python -m benchmarks.readouts svm --seed 0

`spikemnist stdp --features 64` has a linear readout.
"""

from __future__ import annotations

import argparse
from typing import Any

from spikemnist.data import load_mnist
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier

READOUTS = ("votes", "svm")


def pipeline(readout: str, seed: int) -> Any:
    """Return features and their readout; labels only name the classes of neurons that vote."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    features = ConvSTDPClassifier(pool_size=6, random_state=seed)
    if readout == "svm":
        return make_pipeline(features, PCA(150, random_state=seed), SVC(C=5.0))
    neurons = STDPClassifier(1600, passes=3, max_rate=400.0, random_state=seed)
    return make_pipeline(features, neurons)


def main() -> None:
    """Train on MNIST, test, and print the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readout", choices=READOUTS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train, test = load_mnist()
    whole = pipeline(options.readout, options.seed).fit(train.images, train.labels.numpy())
    accuracy = whole.score(test.images, test.labels.numpy())
    print(f"test accuracy     {accuracy:.2%} of {len(test):,} images")


if __name__ == "__main__":
    main()
