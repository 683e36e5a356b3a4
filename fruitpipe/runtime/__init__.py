"""What the jobs run on: Spark's session, its Java and jars, the cache, the Python workers, progress on a terminal.

In: settings of the machine. Out: a SparkSession that is ready. May import: objects, errors.
"""
