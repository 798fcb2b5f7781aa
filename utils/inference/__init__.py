"""Prediction for radiographs by a bundle.

predictor           a file's bytes to a prediction
prediction          record of a prediction and its JSON
second_pass         second forward pass over a picture that the first one doubts
fracture_boxes      boxes around likely fractures
input_warnings      warnings about a picture, and the certainty rule
predictive_value    predictive values at the operator's prevalence
engines             the network on OpenVINO or TensorFlow
runners             predictions for many files
"""
