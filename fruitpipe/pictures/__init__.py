"""Decodes an object's bytes into the pixels that the model takes, and finds an image's label in its name.

Also draws pictures for the demo, and makes thumbnails. In: bytes of JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF; URIs. Out:
float32 (224, 224, 3) in [-1, 1], or as another network has it, or BadImage; labels. Imports: settings, root, runtime, objects,
errors.
"""
