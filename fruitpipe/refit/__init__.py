"""From the table to the next version: the changes, the fit on Spark, the files of a version, the pointer to the current one.

In: a pinned version of the table. Out: ROOT/models, ROOT/reduced and its latest.json. May import: table, reduction, runtime.
"""
