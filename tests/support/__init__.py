"""Shared support of tests and benchmarks; nothing else in tests/ is imported from outside it.

- ``bundles``: bundles of a small network with random weights, and fixed OOD detectors
- ``calibrated``, ``logits``: labels with probabilities or logits of known quality
- ``commands``: root scripts run in this process
- ``dicoms``, ``dicom_uploads``: DICOM files, of every kind for the decoder, simple ones for the app
- ``engines``: engines that wrap another one
- ``evaluations``: an evaluation of drawn bones, and variations of it
- ``makefiles``, ``package_index``: a checkout for make, and a local package index
- ``manifests``: training manifests of saved bundles
- ``pictures``: drawn radiographs
- ``processes``: child processes, stopped when their block ends
- ``serving``: the app in this process or behind gunicorn
- ``trees``: drawn datasets on disk, one for each layout
"""
