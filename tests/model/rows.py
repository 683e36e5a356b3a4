"""Rows of the model's table, as dictionaries, and their columns in Arrow."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from fruitpipe.extractor.arrow_schema import OUTCOMES

Row = dict[str, Any]
ROWS = pa.schema([one for one in OUTCOMES if one.name != "outcome"])
CHANGED = pa.schema([*ROWS, pa.field("_change_type", pa.string())])  # type: ignore[arg-type]
