"""Attacks on the library: damage, kills, interrupts and nonsense, for as long as one asks.

A class of attacks is a module with one `Attack`: material that is made once, and a case that is
a function of the material and of random numbers. Each case compares what happened with an oracle
or with a stated expectation. `registry` lists the classes, `known` the failures that are accepted,
`workers` runs cases in child processes with limits, `table` counts what ran.
"""
