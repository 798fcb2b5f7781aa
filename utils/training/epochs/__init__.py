"""Within and between the epochs of a run.

- callbacks: learning rate, progress, time limit and last weights of an epoch
- schedule: learning-rate schedules and patience
"""
