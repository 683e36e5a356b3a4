"""How a job starts and ends, and what people look at: status, failed images, doctor, what a terminal shows.

In: ROOT. Out: lines, JSON, an exit code. May import: ingest, erasure, refit, table.
"""
