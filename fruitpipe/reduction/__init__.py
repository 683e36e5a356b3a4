"""The mathematics, NumPy alone: moments, sums by label, StandardScaler and PCA in one, how two versions relate.

In: vectors, float (n, 1280). Out: a Reduction, (n, 1280) to (n, k). May import: errors.
"""
