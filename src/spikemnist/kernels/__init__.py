"""What compiled code is made of: `encoding`, `engine` and `plasticity` build on it.

It knows no neuron. `compiler` and its `cache` on disk; `memory` that is used again; `threads` with
`tickets`, `teams` and `openmp`, which share work out; rows of numbers in `registers`, `vector` and
`rowwise`; spikes as `bits`, and as lists in `events`; `tiles` of 64 neurons.
"""
