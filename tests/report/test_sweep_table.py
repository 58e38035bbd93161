"""The table of a sweep: no cell is blank without a reason, and trouble stands first."""

from ceflow.blocks import Note, Table
from ceflow.report.sweeps import MOST_COLUMNS, MOST_WARNINGS, sweep_blocks

SINGULAR = "the kernel is singular to rounding; set stages.k.ridge to 1.0e-07 or more"
UNDEFINED = {"k": {"train_mse": None, "note": None, "warnings": [SINGULAR]}}


def found(mse):
    return {"k": {"train_mse": mse, "note": None, "same": 3}}


def test_a_number_that_there_is_none_of_is_said_to_be_undefined_and_why():
    why, table = sweep_blocks({"ridge=0.1": found(0.5), "ridge=0": UNDEFINED})
    assert isinstance(table, Table)
    assert table.columns == ("run", "k.train_mse", "k.same")
    assert table.rows == (("ridge=0.1", 0.5, 3), ("ridge=0", "undefined", ""))
    assert why == Note(f"k of ridge=0: {SINGULAR}", warning=True)


def test_a_stage_that_failed_is_not_done():
    (table,) = sweep_blocks({"a": found(0.5), "b": {}, "c": found(0.25)})
    assert isinstance(table, Table)
    assert table.columns == ("run", "k.train_mse")  # the other is 3 in all that have done it
    assert table.rows == (("a", 0.5), ("b", "not done"), ("c", 0.25))


def test_how_runs_ended_is_shown_where_it_differs():
    ends = {"a": "steps", "b": "unstable"}
    runs = {run: {"t": {"ended": ended, "engine": run, "steps": 7}} for run, ended in ends.items()}
    (table,) = sweep_blocks(runs)
    assert table == Table(("run", "t.ended"), (("a", "steps"), ("b", "unstable")))


def test_one_warning_of_many_runs_is_said_once():
    notes = sweep_blocks({str(i): UNDEFINED for i in range(9)})[:-1]
    assert notes == [Note(f"k of 0, 1, 2, 3, 4, 5 and 3 more: {SINGULAR}", warning=True)]


def test_of_many_warnings_some_are_shown_and_the_others_counted():
    runs = {str(i): {"k": {"warnings": [f"{i} is odd"]}} for i in range(MOST_WARNINGS + 3)}
    *notes, _ = sweep_blocks(runs)
    assert len(notes) == MOST_WARNINGS + 1
    assert notes[-1] == Note("3 more warnings are in results.json", warning=True)


def test_columns_that_are_left_out_are_named():
    names = [f"key{i}" for i in range(MOST_COLUMNS + 2)]
    runs = {run: {"k": dict.fromkeys(names, value)} for run, value in (("a", 1), ("b", 2))}
    table, note = sweep_blocks(runs)
    assert isinstance(table, Table)
    assert len(table.columns) == 1 + MOST_COLUMNS
    assert note == Note(
        f"these differ too, and are in results.json: k.key{MOST_COLUMNS}, k.key{MOST_COLUMNS + 1}"
    )


def test_a_value_that_is_a_number_in_no_run_has_no_column():
    (table,) = sweep_blocks({"a": {"k": {"note": None}}, "b": {"k": {}}})
    assert isinstance(table, Table)
    assert table.columns == ("run",)
