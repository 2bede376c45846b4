"""What compiled code is made of: `encoding`, `engine` and `plasticity` build on it.

It knows no neuron. `compiler` and its `cache` on disk; `memory` that is used again; `scheduler` and
`openmp`, which share work among threads; `intrinsics`, functions with LLVM code of their own; rows
of numbers in `registers`, `vector` and `elementwise`; packed spikes in `bits`, and as lists in
`spike_lists`; `blocks` of 64 neurons.
"""
