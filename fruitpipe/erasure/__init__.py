"""Images go from every place under ROOT, with a certificate; and what is held about one is shown.

In: requests, recorded under ROOT/erasures. Out: rewritten files and a certificate. May import: refit, table, root.
"""
