"""Building blocks of compiled kernels, for `encoding`, `engine` and `plasticity`. Internal.

For whoever writes a compiled kernel. Needs: the core. Needed by: engine, plasticity, cli.

They contain no neuron model. `compiler` and its `cache` on disk; `memory`, a pool of buffers;
`scheduler` and `openmp`, which share work among threads; `intrinsics`, functions with their own
LLVM code; rows of numbers in `registers`, `vector` and `elementwise`; packed spikes in `bits`, and
as lists in `spike_lists`; `blocks` of 64 neurons.
"""
