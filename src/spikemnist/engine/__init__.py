"""The event-driven engine: compiled kernels for the CPU that work only where a spike is.

Importing it loads Numba. `run` runs layers of leaky neurons, forward and backward; `convolve` is
the convolution before neurons with pixels. Behind them, in the order in which data passes: `bounds`
validates shapes, dtypes and devices; `layer_input` is what a layer receives; `layer` and
`gradients` give the kernels of one layer what they need, `network` those of all; `forward`,
`backward` with `weight_gradient`, and `separable` are the kernels, built of `membranes` and
`slopes`.
"""

from spikemnist.engine.convolution import convolve
from spikemnist.engine.network import run

__all__ = ["convolve", "run"]
