"""Attacks on the library: damaged files, kills, interrupts and invalid input, for a given time.

An `Attack` is a class of attacks: material that is prepared once, and a case, a function of the
material and of random numbers. Each case compares its result with an oracle or with a stated
expectation. `registry` lists the classes, `known` the accepted failures. `workers` runs cases in
child processes with limits, and `table` counts the results.
"""
