"""Images in memory.

radiograph    one decoded radiograph, and the limits before decoding
geometry      boxes, rectangles, the letterbox both ways, masks of boxes
content_crop  the radiograph without its border
inset         rectangles of radiographs in a larger picture
steps         straight edges of brightness and texture, along rows
perspective   film in a photograph, turned upright and level
overlay       coloured map over a radiograph, PNG and JPEG
"""
