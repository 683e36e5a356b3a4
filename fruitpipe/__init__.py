"""What the driver, the executors and the command line of fruitpipe share.

Importing the package imports nothing else: an executor that only featurises never loads Spark's SQL API, boto3 or
TensorFlow.
"""

__version__ = "0.1.0"
