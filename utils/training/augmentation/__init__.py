"""Augmentation of fitted radiographs, in bytes, while batches are made.

- variation: vary(), and the variations by name: plain, strong
- pose: mirror image, turn, rotation, scale, crop, tilt, as one matrix; boxes move with it
- tone: gamma, contrast, brightness, local equalisation, dimness
- quality: blur, sharpening, noise, lost resolution, JPEG compression
- film: photograph of a film
- marks: burnt-in words, edges of a collimator
"""
