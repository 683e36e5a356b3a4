"""Makes the next version from the table: gathers changes, fits on Spark, writes the version's files, and moves the pointer.

In: a pinned version of the table. Out: ROOT/models, ROOT/reduced and its latest.json. Imports: table, pictures, classifier,
reduction, settings, runtime, objects, output, errors.
"""
