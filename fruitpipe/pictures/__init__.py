"""An object's bytes to the pixels that the model takes, or the reason why not; its name to its label, or none.

Also pictures drawn for the demo, and thumbnails. In: bytes of JPEG, PNG, WebP, GIF, BMP, TIFF; URIs. Out: float32 (224, 224, 3)
in [-1, 1], or BadImage; labels. May import: settings, root, objects, output, errors.
"""
