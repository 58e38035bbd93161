"""The table of a sweep: no cell is blank without a reason."""

from ceflow.blocks import Note, Table
from ceflow.report.sweeps import MOST_REASONS, sweep_blocks

SINGULAR = "the kernel is singular to rounding; set stages.k.ridge to 1.0e-07 or more"
UNDEFINED = {"k": {"train_mse": None, "note": None, "warnings": [SINGULAR]}}


def found(mse):
    return {"k": {"train_mse": mse, "note": None, "same": 3, "warnings": ["of another kind"]}}


def test_a_number_that_there_is_none_of_is_said_to_be_undefined_and_why():
    table, *notes = sweep_blocks({"ridge=0.1": found(0.5), "ridge=0": UNDEFINED})
    assert isinstance(table, Table)
    assert table.columns == ("run", "k.train_mse", "k.same")
    assert table.rows == (("ridge=0.1", 0.5, 3), ("ridge=0", "undefined", ""))
    assert notes == [Note(f"undefined in ridge=0, k: {SINGULAR}", warning=True)]


def test_a_stage_that_failed_is_not_done():
    table, *notes = sweep_blocks({"a": found(0.5), "b": {}, "c": found(0.25)})
    assert isinstance(table, Table)
    assert table.rows == (("a", 0.5, 3), ("b", "not done", "not done"), ("c", 0.25, 3))
    assert notes == []


def test_of_many_reasons_some_are_shown_and_the_others_counted():
    runs = {str(i): UNDEFINED for i in range(MOST_REASONS + 3)} | {"sound": found(1.0)}
    _, *notes = sweep_blocks(runs)
    assert len(notes) == MOST_REASONS + 1
    assert notes[-1] == Note("3 more such warnings are in results.json")


def test_a_value_that_is_a_number_in_no_run_has_no_column():
    (table,) = sweep_blocks({"a": {"k": {"note": None}}, "b": {"k": {}}})
    assert isinstance(table, Table)
    assert table.columns == ("run",)
