"""A snnTorch network of one's own, run over all timesteps at once.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer, ``C``
classes, ``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from spikemnist.models.network import SpikingNetwork
from spikemnist.models.sequential import read_layers
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
    """Run a snnTorch network over all timesteps at once, instead of one by one.

    The parameters stay those of ``network``: train either, and both have learned.

    Parameters
    ----------
    network
        A `torch.nn.Sequential`, nested ones included, of `torch.nn.Flatten`, `torch.nn.Linear`,
        `torch.nn.Conv2d`, `torch.nn.BatchNorm1d`, `torch.nn.BatchNorm2d`, `torch.nn.MaxPool2d`,
        `torch.nn.AvgPool2d`, their adaptive forms, `torch.nn.Dropout`, `torch.nn.Identity` and
        `snntorch.Leaky`, the last module of all. It makes no difference whether the neurons have
        ``init_hidden`` and ``output`` set. In training, batch normalisation takes its statistics
        over all timesteps of a batch, where snnTorch's loop takes those of each timestep. Hooks on
        the modules fire, on the reference backend.
    readout
        How class scores come out of the last neurons: see `spikemnist.models.readout.scores`.
    backend
        How the T steps are run: see `spikemnist.ops.select_backend`; ``"snntorch"`` steps
        ``network`` itself. A seed draws the same masks of `torch.nn.Dropout` on the backends
        ``"reference"`` and ``"event_driven"``; ``"snntorch"`` draws those of snnTorch's loop,
        timestep by timestep.

    Returns
    -------
    Accelerated
        A model that is used like `LeakyMLP`.

    Raises
    ------
    TypeError
        For a module that cannot be run; the message names its place in the network.
    ValueError
        For an option that cannot, such as ``inhibition=True``; likewise.

    Examples
    --------
    >>> import snntorch
    >>> import torch
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
    """What `accelerate` makes of a network.

    A call takes spikes to a `Record`. It starts with membranes at rest, or the ``state`` it is
    given, and leaves those inside the network's neurons as they are. The network is read anew in
    each call, so that changes to it count.

    Attributes
    ----------
    network
        The network, with its parameters.
    readout, backend
        As `accelerate` takes them.

    Raises
    ------
    TypeError, ValueError
        As `accelerate` does.

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
        read_layers(network)
        self.network = network

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each layer, by the name that `Record` gives it.

        Those behind a convolution depend on the size of the input, and are a `ValueError` here;
        `Record.sizes` has them.
        """
        return super().sizes

    def spiking_layers(self) -> list[SpikingLayer]:
        """List the layers: modules without memory, and the neurons behind them.

        Returns
        -------
        list of SpikingLayer
            From the input to the output, as `spikemnist.energy.measure_energy` counts them.
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
