"""An object's bytes to the pixels that the model takes, or the reason why not; pictures drawn for the demo, thumbnails.

In: bytes of JPEG, PNG, WebP, GIF, BMP, TIFF. Out: float32 (224, 224, 3) in [-1, 1], or BadImage. May import: objects, errors.
"""
