"""Runs jobs from settings to exit code, and shows the state of a root: status, failed images, doctor.

In: ROOT. Out: lines, JSON, an exit code. Imports: ingest, erasure, export, refit, table, extractor, pictures, settings, root,
runtime, regions, objects, output, errors.
"""
