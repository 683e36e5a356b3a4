"""The jobs `fruitpipe ingest`, `refit` and `reconcile`, composed of the other packages.

In: settings. Out: rows, versions, manifests, and lines that say what was done. Imports: all but the command line.
"""
