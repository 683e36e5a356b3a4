"""The model: made from published weights, loaded, run; and the function that each Python worker runs over references.

In: references to images (path, known etag). Out: rows with features, float32 (d,), or an error. Imports: pictures, runtime,
objects, output, choices, outcome, errors.
"""
