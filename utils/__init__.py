"""The library behind app.py, train.py, evaluate.py and predict.py: one noun a module."""
