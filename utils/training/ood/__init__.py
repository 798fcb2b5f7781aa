"""Pictures that the OOD detector learns from beside radiographs.

- samples: synthetic images that are no radiographs, and how far radiographs vary
- presentations: radiographs as they should not arrive: turned, stretched, several, photographed
"""
