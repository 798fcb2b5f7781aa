"""Datasets: folder trees to samples, splits, duplicates and prepared images.

- ``sample``: a labelled radiograph on disk, and the dataset it belongs to
- ``readers``: one reader for each layout on disk, and the READERS table
- ``image_cache``: memory-mapped cache of images fitted to the network's input
- ``duplicates``: near-duplicates, found on thumbnails
- ``split``: train, validation and test by a hash of each group
- ``training_set``: all of the above, ready to train on
- ``folds``: cross-validation folds of its train and validation part
"""
