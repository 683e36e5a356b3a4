"""What a picture shows, by the classifier of a published version: without Spark, below a second.

In: pictures, a version. Out: labels with probabilities, or "unknown", and the nearest images. Imports: refit, table, extractor,
pictures, classifier, reduction, settings, objects, choices, errors.
"""
