"""Data on disk to tensors: digits that come with the package, MNIST, Fashion-MNIST, N-MNIST.

Nothing here knows what a spike is. Each loader returns two datasets, train and test:
`ImageDataset`, held in memory, or `EventDataset`, whose recordings are read when a batch is made.
"""

from spikemnist.data.dataset import ImageDataset
from spikemnist.data.event_transforms import Crop, DropEvents, FirstSaccade, Stabilize
from spikemnist.data.events import EVENT, EventBatch, EventDataset
from spikemnist.data.mnist import load_digits, load_fashion_mnist, load_mnist
from spikemnist.data.nmnist import load_nmnist

__all__ = [
    "EVENT",
    "Crop",
    "DropEvents",
    "EventBatch",
    "EventDataset",
    "FirstSaccade",
    "ImageDataset",
    "Stabilize",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_nmnist",
]
