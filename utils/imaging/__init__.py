"""Images in memory: radiograph, geometry, content crop, overlay."""
