"""The event-driven engine: compiled kernels for the CPU that do work only for spikes. Internal.

Importing it loads Numba. `run` runs layers of leaky neurons, forward and backward; `convolve` and
`drop_out` are the convolution and the dropout of images; `unsupported` names a surrogate that the
kernels lack. The other modules, in the order in which data passes:
`bounds` validates shapes, dtypes and devices; `signal` is the input of a layer; `layer_run`
and `gradients` call the kernels of one layer, `autograd` of all layers; `forward`, `backward`
with `weight_gradient`, and `separable` are the kernels, built from `membranes` and `slopes`.
"""

from spikemnist.engine.autograd import run
from spikemnist.engine.convolution import convolve
from spikemnist.engine.dropout import drop_out
from spikemnist.engine.slopes import unsupported

__all__ = ["convolve", "drop_out", "run", "unsupported"]
