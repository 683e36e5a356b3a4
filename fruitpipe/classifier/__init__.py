"""Names a vector's label, or says that it knows none: linear discriminant analysis in closed form. NumPy alone.

In: a summary (moments, sums by label) and some rows to measure on. Out: a Classifier. Imports: reduction, errors.
"""
