"""Networks of cards that are run as they are: the graph in OpenVINO, and onnxruntime."""
