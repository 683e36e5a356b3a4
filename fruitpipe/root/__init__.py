"""The root beside the table and the versions: the names of its folders, the manifests, the writer's lease.

In: ROOT's URI. Out: URIs, events of images, the right to write. Imports: objects, output, errors.
"""
