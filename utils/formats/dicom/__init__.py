"""DICOM files: elements, pixel data, windowing."""
