"""Within and between the epochs of a run.

- callbacks: learning rate, progress, time limit, last weights and random numbers of an epoch
- schedule: learning-rate schedules and patience
"""
