"""Spiking neural networks on MNIST-like data, on PyTorch and snnTorch.

The data flows one way::

    images [B,28,28] --encoding--> spikes [T,B,...] --models--> Record --> training, viz

Each arrow is a subpackage: `spikemnist.data`, `spikemnist.encoding`, `spikemnist.models`
(whose dynamics live in `spikemnist.ops`), `spikemnist.training` and `spikemnist.viz`.
"""

__version__ = "0.1.0"
