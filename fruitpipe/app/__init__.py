"""A version as a folder of static files: an installable page that names a picture on a phone, offline, and checks itself first.

In: a version of a root. Out: files at a place that a web server or a bucket serves. Imports: export, identification, refit,
extractor, pictures, classifier, reduction, settings, runtime, objects, errors.
"""
