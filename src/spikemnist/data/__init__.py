"""Load data as tensors: the digits of this package, MNIST, Fashion-MNIST, N-MNIST, your own images.

The room stands on no other; `models` and `training` stand on it.
Import its names from here; its modules are internal.

Augmentations change training images at random. Encoding into spikes is done elsewhere. Each loader
returns two datasets, train and test: `ImageDataset`, held in memory, or `EventDataset`, whose
recordings are read when a batch is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy

if TYPE_CHECKING:
    from spikemnist.data.augmentation import Augmentation as Augmentation
    from spikemnist.data.augmentation import Compose as Compose
    from spikemnist.data.augmentation import ElasticDeformation as ElasticDeformation
    from spikemnist.data.augmentation import RandomAffine as RandomAffine
    from spikemnist.data.augmentation import RandomErasing as RandomErasing
    from spikemnist.data.augmentation import RandomFlip as RandomFlip
    from spikemnist.data.images import ImageDataset as ImageDataset
    from spikemnist.data.mnist import load_digits as load_digits
    from spikemnist.data.mnist import load_fashion_mnist as load_fashion_mnist
    from spikemnist.data.mnist import load_mnist as load_mnist
    from spikemnist.events.event_transforms import DropEvents as DropEvents
    from spikemnist.events.event_transforms import FirstSaccade as FirstSaccade
    from spikemnist.events.nmnist import load_nmnist as load_nmnist
    from spikemnist.events.recordings import EVENT as EVENT
    from spikemnist.events.recordings import EventBatch as EventBatch
    from spikemnist.events.recordings import EventDataset as EventDataset
    from spikemnist.recognition.image_files import load_images as load_images
    from spikemnist.recognition.picture import prepare_image as prepare_image
else:
    _MODULES = {
        ".augmentation": "Augmentation Compose ElasticDeformation RandomAffine RandomErasing "
        "RandomFlip",
        ".images": "ImageDataset",
        ".mnist": "load_digits load_fashion_mnist load_mnist",
        "spikemnist.events.event_transforms": "DropEvents FirstSaccade",
        "spikemnist.events.nmnist": "load_nmnist",
        "spikemnist.events.recordings": "EVENT EventBatch EventDataset",
        "spikemnist.recognition.image_files": "load_images",
        "spikemnist.recognition.picture": "prepare_image",
    }
    __getattr__, __dir__, __all__ = lazy(__name__, _MODULES)
