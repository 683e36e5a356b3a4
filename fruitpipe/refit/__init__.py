"""Makes the next version from the table: gathers changes, fits on Spark, writes the version's files, and moves the pointer.

In: a pinned version of the table. Out: ROOT/models, ROOT/reduced and its latest.json. May import: table,
classifier, pictures, reduction, runtime.
"""
