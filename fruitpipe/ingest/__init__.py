"""The stream: what is new under the image prefix or in manifests becomes rows of the table, in micro-batches.

In: a listing or manifests. Out: commits of the features table. May import: erasure, table, extractor, root.
"""
