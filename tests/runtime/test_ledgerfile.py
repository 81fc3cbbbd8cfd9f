import pyarrow as pa
import pytest
from pyarrow import parquet

from recipe_runtime.errors import PlanRefused
from recipe_runtime.ledgerfile import read_ledger
from recipe_schema.ledger import ClipRow, to_columns


ROWS = (
    ClipRow(dataset="d", path="a.mp4", fate="trained", fps=25, mtime_ns=2**62, caption="ä"),
    ClipRow(dataset="d", path="b.mp4", fate="filtered", reason="too short: 3 of 9 frames"),
)


def test_rows_come_back_as_they_were_written(tmp_path):
    parquet.write_table(pa.table(to_columns(ROWS)), tmp_path / "ledger.parquet")

    assert read_ledger(tmp_path) == ROWS


def test_a_missing_ledger_refuses_the_plan(tmp_path):
    with pytest.raises(PlanRefused, match="does not exist; make the plan anew"):
        read_ledger(tmp_path)


def test_a_file_that_is_no_parquet_refuses_the_plan(tmp_path):
    (tmp_path / "ledger.parquet").write_text("path,caption\n")

    with pytest.raises(PlanRefused, match="is not a ledger"):
        read_ledger(tmp_path)


def test_a_ledger_of_other_columns_refuses_the_plan(tmp_path):
    parquet.write_table(pa.table({"path": ["a"]}), tmp_path / "ledger.parquet")

    with pytest.raises(PlanRefused, match="has the columns path where this tool reads dataset"):
        read_ledger(tmp_path)
