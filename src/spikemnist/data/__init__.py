"""Load data as tensors: the digits of this package, MNIST, Fashion-MNIST, N-MNIST, your own images.

Import its names from here; its modules are internal.

Augmentations change training images at random. Encoding into spikes is done elsewhere. Each loader
returns two datasets, train and test: `ImageDataset`, held in memory, or `EventDataset`, whose
recordings are read when a batch is made.
"""

from spikemnist.data.augmentation import (
    Augmentation,
    Compose,
    ElasticDeformation,
    RandomAffine,
    RandomErasing,
    RandomFlip,
)
from spikemnist.data.event_transforms import Crop, DropEvents, FirstSaccade, Stabilize
from spikemnist.data.events import EVENT, EventBatch, EventDataset
from spikemnist.data.image_files import load_images
from spikemnist.data.images import ImageDataset
from spikemnist.data.mnist import load_digits, load_fashion_mnist, load_mnist
from spikemnist.data.nmnist import load_nmnist
from spikemnist.data.picture import prepare_image

__all__ = [
    "EVENT",
    "Augmentation",
    "Compose",
    "Crop",
    "DropEvents",
    "ElasticDeformation",
    "EventBatch",
    "EventDataset",
    "FirstSaccade",
    "ImageDataset",
    "RandomAffine",
    "RandomErasing",
    "RandomFlip",
    "Stabilize",
    "load_digits",
    "load_fashion_mnist",
    "load_images",
    "load_mnist",
    "load_nmnist",
    "prepare_image",
]
