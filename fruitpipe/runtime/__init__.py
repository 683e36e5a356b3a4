"""What the jobs run on: the Spark session, its Java and jars, the cache, the Python workers, the progress bar, lineage.

In: the environment. Out: a SparkSession. Imports: objects, output, outcome, errors.
"""
