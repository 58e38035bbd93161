"""Sweeps: many documents from one."""

from typing import Any

import pytest

from ceflow.spec import Document, Mlp, SpecError, Sweep, dumps, loads, variants

BASE = """\
[model]
type = "mlp"
widths = [3]
inputs = 1
outputs = 1
[stages.alpha]
type = "variance"
[sweep]
"""


def faults_of(sweep):
    with pytest.raises(SpecError) as caught:
        loads(BASE + sweep)
    return caught.value.faults


def test_a_grid_is_every_combination():
    found = variants(loads(BASE + '"model.widths" = [[3], [4, 4]]\nseed = [0, 1]\n'))
    assert {name: (d.model.widths, d.seed) for name, d in found.items()} == {  # pyright: ignore
        "widths=3,seed=0": ((3,), 0),
        "widths=3,seed=1": ((3,), 1),
        "widths=4-4,seed=0": ((4, 4), 0),
        "widths=4-4,seed=1": ((4, 4), 1),
    }


def test_a_zip_takes_values_together():
    text = BASE + 'mode = "zip"\n"model.widths" = [[3], [4]]\nseed = [0, 1]\n'
    assert list(variants(loads(text))) == ["widths=3,seed=0", "widths=4,seed=1"]


def test_a_zip_is_crossed_with_the_paths_that_are_named():
    zipped = '"model.widths" = [[3], [4]]\n"model.activation" = ["relu", "erf"]\n'
    text = f'{BASE}mode = "zip"\ncross = ["seed"]\n{zipped}seed = [0, 1, 2]\n'
    found = variants(loads(text))
    models = [(Mlp.expect(each.model), each.seed) for each in found.values()]
    assert [(model.widths, model.activation, seed) for model, seed in models] == [
        (widths, activation, seed)
        for widths, activation in (((3,), "relu"), ((4,), "erf"))
        for seed in range(3)
    ]
    assert next(iter(found)) == "widths=3,activation=relu,seed=0"
    assert loads(dumps(loads(text))) == loads(text)


CROSSED = {
    "of a grid": ('cross = ["seed"]\nseed = [0, 1]\n', "CE202", 'use mode = "zip"'),
    "misspelt": ('mode = "zip"\ncross = ["sed"]\nseed = [0]\n', "CE201", "did you mean seed?"),
    "not named": (
        'mode = "zip"\n"model.widths" = [[3], [4]]\nseed = [0, 1, 2]\n',
        "CE202",
        'add cross = ["seed"]',
    ),
}


@pytest.mark.parametrize("case", CROSSED)
def test_what_cannot_be_crossed_is_said(case):
    text, code, help = CROSSED[case]
    with pytest.raises(SpecError) as caught:
        variants(loads(BASE + text))
    (fault,) = caught.value.faults
    assert (fault.code, help in fault.help) == (code, True)


def test_variants_are_no_sweeps_and_have_names_of_their_own():
    found = variants(loads(BASE + "seed = [0, 1]\n"))
    assert all(document.sweep is None for document in found.values())
    assert len({document.name for document in found.values()}) == 2


def test_equal_names_are_numbered_and_long_ones_cut():
    swept = BASE + '"data.path" = ["a b", "a_b", "A_b"]\n'
    swept = swept.replace("[sweep]", '[data]\nsource = "npz"\npath = "x"\n[sweep]')
    assert list(variants(loads(swept))) == ["path=a_b", "path=a_b-2", "path=A_b-3"]
    (name,) = variants(loads(BASE + f'"model.widths" = [[{", ".join(["10"] * 80)}]]\n'))
    assert len(name) < 120


def test_a_sweep_survives_writing():
    model = Mlp(widths=[3], inputs=1, outputs=1)
    document = Document(model=model, sweep=Sweep(**{"seed": [0, 1], "model.widths": [[3]]}))
    assert loads(dumps(document)) == document


def test_a_bad_value_is_blamed_where_it_stands():
    (fault,) = faults_of('"model.widths" = [[3], [4, 0]]\n')
    assert (fault.code, fault.path) == ("CE104", ("sweep", "model.widths", 1, 1))
    assert fault.place is not None
    assert (fault.place.line, fault.place.column) == (9, 28)


def test_a_misspelt_path_is_blamed_on_its_key():
    (fault,) = faults_of('"model.widhts" = [[3]]\n')
    assert (fault.code, fault.path, fault.help) == (
        "CE101",
        ("sweep", "model.widhts"),
        "did you mean widths?",
    )


@pytest.mark.parametrize(
    ("sweep", "code"),
    [
        ('"stages.beta.draws" = [100]\n', "CE206"),
        ("", "CE102"),
        ('mode = "zip"\nseed = [1, 2]\n"model.inputs" = [1]\n', "CE202"),
        ("seed = []\n", "CE104"),
        ("seed = 3\n", "CE103"),
        (f"seed = {list(range(1001))}\n", "CE104"),
        ('name = ["a"]\n', "CE206"),
    ],
)
def test_what_is_no_sweep_is_refused(sweep, code):
    assert [fault.code for fault in faults_of(sweep)] == [code]


def test_a_path_without_quotes_is_shown_in_quotes():
    (fault,) = faults_of("model.widths = [[1, 1], [2, 2]]\n")
    assert (fault.code, fault.help) == ("CE103", '"model.widths" = [...]')


def test_every_bad_variant_is_found_at_once():
    codes = [fault.code for fault in faults_of('"model.widths" = [[0]]\n"stages.x.draws" = [1]\n')]
    assert codes == ["CE104", "CE206"]


KERNEL = """\
[data]
source = "gaussian"
inputs = 1
train = 3
[stages.k]
type = "kernel"
method = "empirical"
[sweep]
"""
RATIOS = 'ratios = [0.5, 1.0]\n[stages.beta]\ntype = "variance"\nratios = [0.5, 1.0]\n[sweep]\n'


@pytest.mark.parametrize(
    ("base", "sweep", "code", "index", "about"),
    [
        (RATIOS, "[[8, 8], [16, 16], [1, 1]]\n", "CE202", 2, "stages.alpha.ratios"),
        (RATIOS, "[[1, 1], [8, 8]]\nseed = [1, 2, 3]\n", "CE202", 0, "stages.alpha.ratios"),
        (KERNEL, "[[8, 8], [inf, inf]]\n", "CE203", 1, "stages.k.method"),
        (KERNEL, "[[8, 8], [inf, inf]]\nseed = [1, 2]\n", "CE203", 1, "stages.k.method"),
    ],
)
def test_a_fault_that_a_value_brings_about_elsewhere_is_blamed_on_it(
    base, sweep, code, index, about
):
    text = BASE.replace("[sweep]\n", base) + '"model.widths" = ' + sweep
    with pytest.raises(SpecError) as caught:
        loads(text)
    fault, *others = [f for f in caught.value.faults if "stages.beta" not in f.message]
    if base is KERNEL:  # its variance stage has none at infinite width either
        fault = next(f for f in [fault, *others] if "stages.k" in f.message)
    assert (fault.code, fault.path) == (code, ("sweep", "model.widths", index))
    assert fault.message.startswith(f"{about}: ")
    assert fault.help.startswith("leave this value out")
    assert len(set(map(str, caught.value.faults))) == len(caught.value.faults) == 2


def test_a_fault_of_two_values_together_names_a_run():
    data = '[data]\nsource = "gaussian"\ninputs = 1\ntrain = 2\n'
    text = data + BASE.replace("[sweep]", 'entries = "off-diagonal"\n[sweep]')
    sweep = '"data.train" = [2, 1]\n"stages.alpha.inputs_law" = ["iid", "data"]\n'
    with pytest.raises(SpecError) as caught:
        loads(text + sweep + "seed = [0, 1]\n")
    (fault,) = caught.value.faults
    assert fault.path == ("stages", "alpha", "entries")
    assert fault.message.startswith("in the run train=1,inputs_law=data,seed=0 and 1 other: an off")


def test_documents_that_are_too_large_together_are_refused():
    seeds: dict[str, Any] = {"seed": list(range(900))}
    document = Document(model=Mlp(widths=[3] * 200), sweep=Sweep(**seeds))
    with pytest.raises(SpecError, match="hold more than 100,000 values together"):
        variants(document)
