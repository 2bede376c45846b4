"""What can be asked on the command line: one dataclass for each command.

Nothing heavy is imported here, so that ``spikemnist --help`` answers at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

DataName = Literal["digits", "mnist", "fashion_mnist", "nmnist"]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    debug: bool = False
    """Show the traceback of an error."""


@dataclass(frozen=True, kw_only=True)
class Source(Common):
    """Where images, or recordings of an event camera, come from."""

    data: DataName = "digits"
    """digits: 6,000 images of MNIST that come with the package; mnist and fashion_mnist: the full
    sets, read from --root, SPIKEMNIST_DATA or the cache, else downloaded; nmnist: N-MNIST,
    likewise, but never downloaded."""

    root: Path | None = None
    """Folder that holds the data files."""


@dataclass(frozen=True, kw_only=True)
class Train(Source):
    """Train a spiking network, test it, and draw what it does."""

    recipe: Literal["fast"] | None = None
    """fast: settings that reach 98 % on MNIST as early as possible. Options given beside it win."""

    encoder: str = "latency"
    """How images become spikes: latency, rate, direct, or an installed plug-in; events for
    nmnist."""

    num_steps: int = 8
    """Timesteps for each image."""

    first_saccade: bool = False
    """Use the first saccade of each recording of nmnist alone."""

    stabilize: bool = False
    """Take the camera's movement out of the recordings of nmnist."""

    drop_events: float = 0.0
    """Probability with which an event of nmnist is left out while training, drawn anew in each
    epoch."""

    model: Literal["mlp", "conv"] = "mlp"
    """mlp: dense layers of leaky neurons. conv: convolutions before them, with defaults of their
    own."""

    hidden: tuple[int, ...] = (512,)
    """Neurons of each hidden layer of an mlp."""

    layers: str = "12C5-P2-64C5-P2-10"
    """Layers of a conv: 12C5 is a convolution with 12 channels and kernels of 5 x 5, P2 pooling, a
    number a dense layer."""

    batch_norm: bool = False
    """Normalise what comes out of each convolution of a conv."""

    epochs: int = 10
    """Passes over the training images."""

    batch_size: int = 64
    """Images in a training step."""

    lr: float = 1e-2
    """Peak learning rate; it rises and falls along one cycle."""

    device: str = "auto"
    """auto takes CUDA, then MPS, then the CPU."""

    backend: str = "auto"
    """How the timesteps are run: auto, event_driven, reference or snntorch."""

    seed: int = 0
    """Of the first weights, the order of the images, and the encoder."""

    out: Path | None = None
    """Run folder; a new one under runs/ when left out."""

    resume: bool = False
    """Continue the run in --out, with its own options."""


@dataclass(frozen=True, kw_only=True)
class Stdp(Source):
    """Learn digits without labels by spike-timing-dependent plasticity, test, and draw."""

    neurons: int = 400
    """Neurons that compete."""

    features: int | None = None
    """Learn so many convolutional features instead, and a readout that labels teach."""

    passes: int = 1
    """Passes over the training images."""

    theta_plus: float | None = None
    """Step of a threshold at a spike, in mV; by the numbers of neurons and images when left out."""

    voting: Literal["proportional", "assigned"] = "proportional"
    """How spikes vote for a class: for all that a neuron responds to, or for the one that it is
    assigned to."""

    seed: int = 0
    """Of the first weights, the order of the images, and the spikes."""

    out: Path | None = None
    """Run folder; a new one under runs/ when left out."""

    resume: bool = False
    """Continue the run in --out, with its own options."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """Test a trained network, or what STDP has learned."""

    run: Positional[Path]
    """Run folder, or a model.safetensors file."""

    data: DataName | None = None
    """Test set; that of the run when left out."""

    root: Path | None = None
    """Folder that holds the data files; that of the run when left out."""

    batch_size: int = 256
    """Images in a step."""

    device: str = "auto"
    """auto takes CUDA, then MPS, then the CPU."""

    backend: str | None = None
    """auto, event_driven, reference or snntorch; that of the model when left out."""

    seed: int = 0
    """Of an encoder that draws random numbers."""

    energy: bool = False
    """Count operations as well, and estimate the energy beside that of an ANN."""

    technology: str = "45nm-fp32"
    """What an operation costs, for --energy: 45nm-fp32, 45nm-fp16, 45nm-int32 or 45nm-int8."""

    memory: str | None = None
    """Memory to count the accesses of, for --energy: 8KB, 32KB, 1MB or DRAM."""


@dataclass(frozen=True, kw_only=True)
class Encode(Source):
    """Turn one image, or recording, of the test set into spikes, and draw or store them."""

    encoder: str = "latency"
    """How the image becomes spikes: `spikemnist info` lists the codes; events for nmnist."""

    num_steps: int = 8
    """Timesteps."""

    index: int = 0
    """Which test image."""

    seed: int = 0
    """Of an encoder that draws random numbers."""

    compare: bool = False
    """Every code instead of one: spikes, what can be read back, and a picture of all."""

    out: Path = Path("encoding.png")
    """A picture (png, pdf, svg), or a NumPy array [T, 28, 28] (npy)."""


@dataclass(frozen=True, kw_only=True)
class Plot(Common):
    """Draw what a trained network does with one image of its test set, or what STDP has learned."""

    run: Positional[Path]
    """Run folder."""

    index: int = 0
    """Which test image."""

    seed: int = 0
    """Of an encoder that draws random numbers."""

    out: Path | None = None
    """Folder for the pictures; the run folder when left out."""


@dataclass(frozen=True, kw_only=True)
class Info(Common):
    """Print versions, devices, backends and data found, for bug reports."""


@dataclass(frozen=True, kw_only=True)
class Bench(Common):
    """Time training and inference on this machine, beside snnTorch's own loop over time."""

    json: Path | None = None
    """File for every figure, and the machine it was measured on."""


Command = Train | Stdp | Evaluate | Encode | Plot | Info | Bench
