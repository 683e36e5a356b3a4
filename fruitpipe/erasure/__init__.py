"""Erases images from every place under ROOT, with a certificate, and shows all that is held about an image.

In: requests, recorded under ROOT/erasures. Out: rewritten files and a certificate. Imports: export, refit, table, pictures,
settings, root, runtime, objects, output, errors.
"""
