"""The trained network and the bundle that keeps it.

architectures/   table of the architectures
pretrained/      pretrained weights for the backbone
calibration      Platt scaling of the logit
operating_point  choice of the threshold and the doubtful zone
detection/       boxes around the likely fractures: targets, candidates, scores
ood              out-of-distribution detector
bundle           a bundle's files, read and checked
bundle_writer    a bundle's files, written
sidecar          schema of the JSON file beside the weights
manifest         training manifest: the images that trained a model
self_test        known input and expected outputs
"""
