"""A version's reduced features at a place outside of the root, kept in step with it, and the register of all such places.

In: a version of a root. Out: a dataset folder, a vector index or a table there, or what changed of one, and an entry in the
register, apps included. Imports: refit, table, pictures, root, objects, output, errors.
"""
