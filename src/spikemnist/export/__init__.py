"""A trained network out of Python: NIR, ONNX, C, and a web page."""
