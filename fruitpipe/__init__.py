"""New images in, feature vectors out: an event-driven, incremental image-feature pipeline on Spark.

For users' code: `load_reduction`, `load_classifier` and `read_reduced`. They are loaded when they are asked for: importing the
package imports nothing else, so an executor that only featurises never loads Spark's SQL API, boto3 or TensorFlow.
"""

from typing import Any

__version__ = "0.1.0"
PUBLIC = ("load_reduction", "load_classifier", "read_reduced")


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'fruitpipe' has no attribute {name!r}")
    from fruitpipe.refit import publication

    return getattr(publication, name)
