"""What compiled kernels run on: how they are compiled, threaded and given memory.

Private, and below every room: `encoding` and `ops` both have kernels, and do not know each other.
"""
