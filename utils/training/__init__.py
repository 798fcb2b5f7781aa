"""Training of a network, and the bundle that it ends in; written against Keras alone.

- config: the settings, the one table that flags and sidecar are made from
- finalize: train(), calibration, operating point, OOD detector, bundle
- trainer: phases, epochs, deadline, exact resume
- augmentation: random variation of images and of their marked boxes
- batches: batches of prepared images, to train on and to run a network over
- graph: the network between batches and losses
- losses: location of the map, distillation from a teacher, compilation
- epochs: callbacks, learning-rate schedules and patience
- checkpoints: the folder of a run: state, weights, epochs as CSV, TensorBoard events and curves
- decision: calibration and operating points, cross-validation and its table
- leakage: no test image may have trained a parent bundle
- ood: samples and presentations that the OOD detector learns
"""
