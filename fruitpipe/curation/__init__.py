"""Finds what to look at among a version's images, without Spark: those that are there twice, those with a doubtful label.

In: a version, and its pictures where they lie. Out: groups of duplicates, outliers, and a page that shows them. Imports: refit,
table, pictures, reduction, root, runtime, objects, output, errors.
"""
