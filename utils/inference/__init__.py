"""Prediction for radiographs by a bundle.

predictor           a file's bytes to a prediction
prediction          record of a prediction and its JSON
fracture_boxes      boxes around likely fractures
input_warnings      warnings about a picture, and the certainty rule
predictive_value    predictive values at the operator's prevalence
engine              loading of an engine, with self-test and fallback
openvino_engine     the network on OpenVINO
tensorflow_engine   the network on TensorFlow, the reference
openvino_runtime    import of OpenVINO without its telemetry
graph_export        export of a bundle's OpenVINO graph
graph_cache         cache of exported graphs
runners             predictions for many files
"""
