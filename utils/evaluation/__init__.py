"""Evaluation of a model on labelled radiographs: figures with intervals, by image, study and stratum.

evaluate: a bundle on a dataset, without the images of its training manifest, as evaluate.py requests it
scored_images: the images with the network's outputs, and the table predictions.csv
strata: performance tables of scored images, overall, by study and by stratum
metrics: classification and calibration metrics, reliability curve
bootstrap: the cluster bootstrap behind every interval
predictive_values: PPV and NPV at chosen prevalences
localisation: activation maps on marked lesions, among them the pointing game
ood: answers to out-of-distribution samples
recalibration: a new decision for other data, and the bundle that carries it
training_figures: the figures of a part that a training records
report_schema: schema of metrics.json
"""
