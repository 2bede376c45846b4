"""Spiking neural networks on MNIST-like data, on PyTorch and snnTorch.

Data flow through four layers::

    images [B,28,28] --encoding--> spikes [T,B,...] --models--> Record --> training, viz

`spikemnist.encoding`
    Images to spike trains: rate and latency code, seven others, or your own.
`spikemnist.models`
    Networks of `snntorch.Leaky` neurons. A `Classifier` is a network with its encoder.
`spikemnist.training`
    Backpropagation through time: `fit` and `evaluate`, on CUDA, MPS or the CPU.
`spikemnist.viz`
    Rasters, membranes and training curves.

Around them, `spikemnist.data` loads images and recordings, `spikemnist.energy` estimates what a
network spends, `spikemnist.export` writes it for use outside Python, `spikemnist.plasticity` learns
without gradients, `spikemnist.recognition` decides on pictures of your own, and `spikemnist.ops`
has the dynamics of the neurons. The most common names can be imported from here. Each loads its
subpackage on first use, so ``import spikemnist`` alone loads none.

Public are the names in ``__all__`` of this package and of the subpackages above. All other packages
and modules are internal and may change in any release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy

if TYPE_CHECKING:
    from spikemnist import data as data
    from spikemnist import encoding as encoding
    from spikemnist import energy as energy
    from spikemnist import export as export
    from spikemnist import models as models
    from spikemnist import ops as ops
    from spikemnist import plasticity as plasticity
    from spikemnist import recognition as recognition
    from spikemnist import training as training
    from spikemnist import viz as viz
    from spikemnist._load import load as load
    from spikemnist.data import load_digits as load_digits
    from spikemnist.data import load_fashion_mnist as load_fashion_mnist
    from spikemnist.data import load_mnist as load_mnist
    from spikemnist.encoding import DirectEncoder as DirectEncoder
    from spikemnist.encoding import LatencyEncoder as LatencyEncoder
    from spikemnist.encoding import RateEncoder as RateEncoder
    from spikemnist.encoding import get_encoder as get_encoder
    from spikemnist.energy import measure_energy as measure_energy
    from spikemnist.energy import summary as summary
    from spikemnist.energy.doctor import diagnose as diagnose
    from spikemnist.events.nmnist import load_nmnist as load_nmnist
    from spikemnist.models import Classifier as Classifier
    from spikemnist.models import LeakyConvNet as LeakyConvNet
    from spikemnist.models import LeakyMLP as LeakyMLP
    from spikemnist.models import accelerate as accelerate
    from spikemnist.plasticity import STDPClassifier as STDPClassifier
    from spikemnist.recognition import decide as decide
    from spikemnist.recognition import measure_limits as measure_limits
    from spikemnist.recognition.image_files import load_images as load_images
    from spikemnist.training import TrainConfig as TrainConfig
    from spikemnist.training import evaluate as evaluate
    from spikemnist.training import fit as fit
else:
    _MODULES = {
        ".": "data encoding energy export models ops plasticity recognition training viz",
        "._load": "load",
        ".data": "load_digits load_fashion_mnist load_mnist",
        ".encoding": "DirectEncoder LatencyEncoder RateEncoder get_encoder",
        ".energy": "measure_energy summary",
        ".energy.doctor": "diagnose",
        ".events.nmnist": "load_nmnist",
        ".models": "Classifier LeakyConvNet LeakyMLP accelerate",
        ".plasticity": "STDPClassifier",
        ".recognition": "decide measure_limits",
        ".recognition.image_files": "load_images",
        ".training": "TrainConfig evaluate fit",
    }
    __getattr__, __dir__, _lazy_names = lazy(__name__, _MODULES)
    __all__ = ["__version__", *_lazy_names]

__version__ = "0.1.0"
