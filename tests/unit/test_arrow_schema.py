"""What the workers send is what the driver takes it for."""

from pyspark.sql.pandas.types import from_arrow_schema

from fruitpipe.extractor import arrow_schema
from fruitpipe.table import schema


def test_an_outcome_has_the_same_columns_for_arrow_and_for_spark():
    as_spark_has_them = from_arrow_schema(arrow_schema.OUTCOMES)
    columns, wanted = ([(field.name, field.dataType) for field in one] for one in (as_spark_has_them, schema.OUTCOMES))
    assert columns == wanted
