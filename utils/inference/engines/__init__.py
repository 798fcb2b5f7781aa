"""Engines that run a bundle's network.

engine              loading of an engine, with self-test and fallback
openvino_engine     the network on OpenVINO
tensorflow_engine   the network on TensorFlow, the reference
openvino_runtime    import of OpenVINO without its telemetry
graph_export        export of a bundle's OpenVINO graph
graph_cache         cache of exported graphs
"""
