"""A version's reduced features at a place outside of the root, kept in step with it, and the register of all such places.

In: a version of a root. Out: a dataset folder there, or what changed of one, and an entry in the register, apps included.
Imports: refit, pictures, root, objects, output, errors.
"""
