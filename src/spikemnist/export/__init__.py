"""Export a trained network to NIR, ONNX, C or a web page; import one from NIR.

For engineers of neuromorphic chips and microcontrollers, and for teachers who need a page. Needs:
the core. Needed by: no other room.

Import its names from here; its modules are internal.
"""

from spikemnist.export.c_source import to_c
from spikemnist.export.nir_graph import from_nir, to_nir
from spikemnist.export.onnx_graph import to_onnx
from spikemnist.export.web_page import to_html, to_playground

__all__ = ["from_nir", "to_c", "to_html", "to_nir", "to_onnx", "to_playground"]
