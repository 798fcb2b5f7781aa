"""Decision of a bundle, from scores of images that did not train the network.

- decide: fit of calibration, threshold and operating points
- box_scores: calibration of the boxes, and the least score that is shown
- cross_validation: one run a fold, and the scores of what each holds out
- out_of_fold: the table of those scores, and the record that names its data and settings
"""
