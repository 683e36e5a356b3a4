"""The jobs: what `fruitpipe ingest`, `refit` and `reconcile` do, put together from the other packages.

In: settings. Out: rows, versions, manifests, and lines that say what was done. May import: all but the command line.
"""
