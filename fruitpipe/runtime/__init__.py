"""What the jobs run on: the Spark session, its Java and jars, the cache, the Python workers, the progress bar, lineage.

In: the environment. Out: a SparkSession. Imports: objects, output, outcome, errors.

Private names of pyspark, py4j and Spark; of Delta's there is none. Each is here:

| module | name | if it is missing |
|---|---|---|
| `session` | `pyspark.accumulators.Accumulator…Server` | stderr has more lines when Java has ended |
| `session` | py4j's modules `java_gateway` and `clientserver`, which log | the same |
| `spark_errors` | `proc` of `SparkContext._gateway` | where Java has ended, Spark's own error is raised |
| `first_failure` | `SparkContext._jsc`, Java's `statusStore`, `getJobIdsForTag` | a task that fails for good is begun again |
| `upkeep` | `SparkSession._jvm`, Scala's `Console.setOutDirect` | Py4JError: Delta's own lines of a vacuum would be printed |
| `record_classes` | `proc` of `SparkContext._gateway` | no archive: sessions start some seconds later |
"""
