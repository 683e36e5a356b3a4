"""The stream: makes rows of the table from new images under the prefix and from manifests, in micro-batches.

In: a listing or manifests. Out: commits of the features table. Imports: erasure, table, extractor, pictures, settings, root,
runtime, objects, output, outcome, errors.
"""
