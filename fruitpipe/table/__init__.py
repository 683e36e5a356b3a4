"""The features table, Delta at ROOT/features: one row an image. Two doors: `delta`, with `commits`,
`upkeep` and `delta_java`, writes by Spark; `snapshot` reads without.

In: outcomes of images. Out: commits, rows, what is known of paths. May import: reduction (moments of vectors), runtime, objects.
"""
