"""The dynamics on CUDA: one forward and one backward kernel for a whole layer. Internal.

For whoever trains on a GPU of NVIDIA. Needs: the core. Needed by: no other room.

The kernels repeat the arithmetic of `spikemnist.ops.leaky` operation by operation. `scan`, which
calls them, is imported at the first call, and Triton with it; `proof` tries them, `on_cuda` asks.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""
