"""The dynamics on CUDA: one forward and one backward kernel for a whole layer. Internal.

The kernels repeat the arithmetic of `spikemnist.ops.leaky` operation by operation. `scan`, which
calls them, is imported at the first call, and Triton with it; `proof` tries them, `on_cuda` asks.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""
