"""The features table, Delta at ROOT/features: one row an image. `delta`, `commits` and `upkeep` write it by Spark,
`file_commits` without; `snapshot` reads it without. `hash_index` knows every row by its name's hash.

In: outcomes of images. Out: commits, rows, what is known of paths. Imports: extractor, pictures, reduction, runtime, objects,
output, outcome, errors.
"""
