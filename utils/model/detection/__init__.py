"""Detection head: boxes around the likely fractures, as a CenterNet gives them.

candidates  outputs of the head to boxes, the highest peak first
targets     marked boxes to the targets of the head
scores      calibration of the peaks, and the least score of a box that is shown
"""
