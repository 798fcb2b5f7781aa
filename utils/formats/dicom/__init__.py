"""DICOM files: from bytes to a radiograph.

reader         read_dicom, and the modalities that are refused
elements       bounded walk over the elements of a file
tags           elements that are read; names of UIDs
layout         how the pixels are laid out, and whether they are square
pixels         from pixel data to stored values
header_checks  header held against the pixels: rows, stored bits, sign, colours
frames         compressed frames: fragments, headers; RLE
gdcm_codec     JPEG of 12 bits and lossless, by a process of its own
gdcm_process   that process
render         from stored values to brightness
windowing      windows and look-up tables, and whether they fit the pixels
"""
