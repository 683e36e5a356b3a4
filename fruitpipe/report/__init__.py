"""A version as one HTML file that opens offline: variance, a map of the pictures, what lies close together, what failed.

In: a version and the table. Out: ROOT/reports/v000001.html. May import: refit, table, pictures.
"""
