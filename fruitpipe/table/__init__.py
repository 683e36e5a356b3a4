"""The features table, Delta at ROOT/features: one row an image. `delta`, `commits`, `upkeep` and `delta_java` write it by Spark,
`appends` without; `snapshot` reads it without.

In: outcomes of images. Out: commits, rows, what is known of paths. Imports: extractor, pictures, reduction, runtime, objects,
outcome, errors.
"""
