"""The mathematics, NumPy alone: moments, sums by label, StandardScaler and PCA in one, how two versions relate.

In: vectors, float (n, d). Out: a Reduction, (n, d) to (n, k). Imports: errors.
"""
