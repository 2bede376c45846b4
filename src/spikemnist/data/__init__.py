"""Images on disk to tensors: the digits that come with the package, MNIST, Fashion-MNIST.

Nothing here knows what a spike is. Each loader returns two `ImageDataset`: train and test.
"""

from spikemnist.data.dataset import ImageDataset
from spikemnist.data.digits import load_digits
from spikemnist.data.mnist import load_fashion_mnist, load_mnist

__all__ = ["ImageDataset", "load_digits", "load_fashion_mnist", "load_mnist"]
