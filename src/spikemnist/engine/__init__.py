"""The event-driven engine: compiled kernels for the CPU that do work only for spikes. Internal.

For everyone who trains on a CPU. Needs: kernels. Needed by: no other room.

The modules, in the order in which data passes: `event_driven` is asked whether the kernels can run;
`network_run` takes the layers of a network apart; `bounds` validates shapes, dtypes and devices;
`signal` is the input of a layer; `layer_run` and `gradients` call the kernels of one layer,
`autograd.run` of all layers; `forward`, `backward` with `weight_gradient`, and `separable` are the
kernels, built from `membranes` and `slopes`. `convolution` and `dropout` are those of images. All
but `event_driven` and `kept_memory` load Numba.
"""
