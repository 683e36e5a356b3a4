"""What a picture shows, by the classifier of a published version: without Spark, below a second.

In: pictures, a version. Out: labels with probabilities, or "unknown", and the nearest images. May import: refit, table,
extractor, classifier, pictures.
"""
