"""The other libraries, each in a file of its own that is loaded when it is installed.

They are measured against, and by nothing else of this project imported.
"""
