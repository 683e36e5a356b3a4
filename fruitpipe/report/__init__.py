"""Writes the report of a version, one HTML file that opens offline: variance, a map of the images, neighbours, failures.

In: a version and the table. Out: ROOT/reports/v000001.html. Imports: refit, table, pictures, reduction, runtime, objects,
output, errors.
"""
