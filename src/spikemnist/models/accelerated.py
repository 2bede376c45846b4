"""Run a user's snnTorch network over all timesteps at once.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer, ``C``
classes, ``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from spikemnist.models.network import SpikingNetwork
from spikemnist.models.sequential import check_grades, read_layers
from spikemnist.models.spiking_layer import PASSED_BY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spikemnist import ops
    from spikemnist.models.readout import ReadoutName
    from spikemnist.models.spiking_layer import SpikingLayer


def accelerate(
    network: nn.Module,
    *,
    readout: ReadoutName = "mean_membrane",
    backend: ops.Backend = "auto",
) -> Accelerated:
    """Wrap a snnTorch network so that it runs all timesteps at once, instead of one by one.

    The result shares its parameters with ``network``: training either one trains both.

    Parameters
    ----------
    network : torch.nn.Module
        A `torch.nn.Sequential`, possibly nested, of `torch.nn.Flatten`, `torch.nn.Linear`,
        `torch.nn.Conv2d`, `torch.nn.BatchNorm1d`, `torch.nn.BatchNorm2d`, `torch.nn.MaxPool2d`,
        `torch.nn.AvgPool2d`, their adaptive forms, `torch.nn.Dropout`, `torch.nn.Identity` and
        `snntorch.Leaky`, which must come last. The options ``init_hidden`` and ``output`` of the
        neurons make no difference. In training, batch normalisation takes its statistics over all
        timesteps of a batch, whereas snnTorch's loop takes them for each timestep. With hooks on
        modules ``"auto"`` takes the reference, which calls each once, and with hooks on neurons
        ``"snntorch"``.
    readout : str, default "mean_membrane"
        Readout that computes the class scores: see `spikemnist.models.readout.scores`.
    backend : str, default "auto"
        Backend that runs the T timesteps: see `spikemnist.ops.select_backend`. ``"snntorch"`` steps
        ``network`` itself. For a given seed, the backends ``"reference"`` and ``"event_driven"``
        draw the same masks of `torch.nn.Dropout`; ``"snntorch"`` draws the masks of snnTorch's
        loop, timestep by timestep.

    Returns
    -------
    Accelerated
        A model that is used like `LeakyMLP`.

    Raises
    ------
    TypeError
        If a module is not supported. The message names its place in the network.
    ValueError
        If a module has an unsupported option, such as ``inhibition=True``. The message names its
        place as well.

    Examples
    --------
    >>> import snntorch
    >>> import torch
    >>> from torch import nn
    >>> from spikemnist import accelerate
    >>> network = nn.Sequential(
    ...     nn.Flatten(),
    ...     nn.Linear(784, 100),
    ...     snntorch.Leaky(beta=0.95, init_hidden=True),
    ...     nn.Linear(100, 10),
    ...     snntorch.Leaky(beta=0.95, init_hidden=True, output=True),
    ... )
    >>> record = accelerate(network)(torch.rand(25, 2, 1, 28, 28) < 0.1)
    >>> record.spikes.shape, record.scores.shape
    (torch.Size([25, 2, 10]), torch.Size([2, 10]))
    """
    return Accelerated(network, readout=readout, backend=backend)


class Accelerated(SpikingNetwork):
    """A snnTorch network that runs all timesteps at once, as `accelerate` returns it.

    A call maps spikes to a `Record`. It starts from membranes at rest, or from ``state`` if given,
    and does not change the membranes stored in the network's neurons. Each call reads the network
    again, so changes to it take effect; ``graded_spikes_factor`` alone is checked only once.

    Attributes
    ----------
    network : torch.nn.Module
        The wrapped network, which holds the parameters.
    readout, backend : str
        As in `accelerate`.

    Raises
    ------
    TypeError, ValueError
        As in `accelerate`.

    Examples
    --------
    >>> import snntorch
    >>> network = nn.Sequential(nn.Linear(4, 3), snntorch.Leaky(beta=0.9))
    >>> model = accelerate(network)
    >>> model.network is network, model.sizes
    (True, {'output': 3})
    """

    def __init__(self, network: nn.Module, *, readout: ReadoutName, backend: ops.Backend) -> None:
        super().__init__(readout=readout, backend=backend)
        check_grades(read_layers(network))
        self.network = network

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each layer, by its name in `Record`.

        After a convolution the number depends on the size of the input: this property then raises a
        `ValueError`, and `Record.sizes` has the numbers.
        """
        return super().sizes

    def spiking_layers(self) -> list[SpikingLayer]:
        """Return the layers, each made of memoryless modules and the neurons after them.

        Returns
        -------
        list of SpikingLayer
            Layers from input to output, as `spikemnist.energy.measure_energy` counts them.
        """
        return read_layers(self.network)

    def _shapes(self, sample_shape: Sequence[int]) -> list[tuple[int, ...]]:
        first = self.spiking_layers()[0]
        if not sample_shape:
            path, module = next(
                (place for place in first.modules if not isinstance(place[1], PASSED_BY)),
                (first.path, first.leaky),
            )
            if not isinstance(module, nn.Linear):
                raise ValueError(
                    f"the network begins with {path} ({type(module).__name__}), so its sizes "
                    "depend on the input: read Record.sizes, or pass the shape of a sample, as in "
                    "initial_state(batch_size, 1, 28, 28)"
                )
            sample_shape = (module.in_features,)
        return super()._shapes(sample_shape)
