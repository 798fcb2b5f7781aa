"""Predictions for many files.

local  files and folders, by threads of this process
"""
