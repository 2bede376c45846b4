"""Networks of others: stepped by snnTorch, or read from a forward that loops over time. Internal.

For whoever has written a network with snnTorch. Needs: the core. Needed by: no other room.

`stepping` has the runner, `stepped` calls a network once for each timestep, `tracing` is what
`accelerate` does with an example.
"""
