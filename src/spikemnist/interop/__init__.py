"""Networks of others: stepped by snnTorch, or read from a forward that loops over time. Internal.

`stepping` has the runner, `stepped` calls a network once for each timestep, `tracing` is what
`accelerate` does with an example.
"""
