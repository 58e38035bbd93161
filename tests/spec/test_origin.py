"""Documents in several texts: what one extends, and what --set says."""

import pytest

from ceflow.spec import SpecError, load, loads

BASE = """\
seed = 1
[data]
source = "gaussian"
inputs = 2
[model]
type = "mlp"
widths = [5, 5]
"""


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder / "a.toml"


def fault_of(path, settings=()):
    with pytest.raises(SpecError) as caught:
        load(path, settings)
    (fault,) = caught.value.faults
    return fault


def test_a_document_lies_over_the_one_it_extends(tmp_path):
    document = load(write(tmp_path, a='extends = "b.toml"\n[model]\nwidths = [7]\n', b=BASE))
    assert (document.seed, document.model.widths) == (1, (7,))  # pyright: ignore


def test_chains_are_followed(tmp_path):
    document = load(
        write(tmp_path, a='extends = "b.toml"\nseed = 3', b='extends = "c.toml"\nseed = 2', c=BASE)
    )
    assert (document.seed, document.data.inputs) == (3, 2)  # pyright: ignore


def test_a_table_of_another_kind_replaces_the_one_below(tmp_path):
    path = write(tmp_path, a='extends = "b.toml"\n[data]\nsource = "digits"\n', b=BASE)
    assert load(path).data.source == "digits"  # pyright: ignore


def test_a_cycle_is_refused_where_it_closes(tmp_path):
    fault = fault_of(write(tmp_path, a='extends = "b.toml"', b='extends = "a.toml"'))
    assert fault.code == "CE205"
    assert "a.toml extends b.toml extends a.toml" in fault.message
    assert fault.place is not None
    assert fault.place.file.endswith("b.toml")


def test_a_ready_made_network_is_extended_by_name():
    document = loads('extends = "ceflow:myrtle-5"\nname = "mine"\n[model]\noutputs = 7\n')
    assert document.name == "mine"
    assert (document.model.inputs, document.model.outputs) == ((3, 32, 32), 7)  # pyright: ignore


@pytest.mark.parametrize(("name", "help"), [("resnet18", "did you mean resnet-18?"), ("x", "")])
def test_an_unknown_ready_made_network_is_refused_with_all_names(tmp_path, name, help):
    fault = fault_of(write(tmp_path, a=f'seed = 1\nextends = "ceflow:{name}"'))
    assert (fault.code, fault.help, str(fault.place)) == (
        "CE001",
        help,
        f"{tmp_path / 'a.toml'}:2:11",
    )
    assert "mobilenet-v2, myrtle-10" in fault.message


def test_a_fault_in_a_ready_made_network_names_its_line():
    with pytest.raises(SpecError) as caught:
        loads('extends = "ceflow:vgg-16"\n[model]\ninputs = [3, 16, 16]\n')
    assert str(caught.value.faults[0].place).startswith("ceflow:vgg-16:35:")


def test_a_missing_base_is_blamed_on_the_key(tmp_path):
    fault = fault_of(write(tmp_path, a='seed = 1\nextends = "none.toml"'))
    assert (fault.code, str(fault.place)) == ("CE001", f"{tmp_path / 'a.toml'}:2:11")


def test_a_fault_points_into_the_file_that_wrote_it(tmp_path):
    path = write(tmp_path, a='extends = "b.toml"\nseed = 2\n', b=BASE.replace("[5, 5]", "[5, 0]"))
    assert str(fault_of(path).place) == f"{tmp_path / 'b.toml'}:7:14"


def test_data_are_looked_for_beside_the_file_that_names_them(tmp_path):
    from ceflow.compiler.plan import folder_of

    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", b=BASE.replace('"gaussian"\ninputs = 2', '"npz"\npath = "x.npz"'))
    path = write(tmp_path, a='extends = "sub/b.toml"\n')
    assert folder_of(load(path)) == tmp_path / "sub"


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        ("model.widths=[3]", (3,)),
        ("model.widths = [3, 4]", (3, 4)),
        ('model={type="mlp", widths=[2]}', (2,)),
    ],
)
def test_a_setting_lies_over_everything(setting, seen):
    assert loads(BASE, settings=[setting]).model.widths == seen  # pyright: ignore


def test_a_bare_word_is_a_string():
    document = loads(BASE, settings=["model.activation=erf", "name=x1"])
    assert (document.name, document.model.activation) == ("x1", "erf")  # pyright: ignore


def test_a_later_setting_wins():
    assert loads(BASE, settings=["seed=4", "seed=5"]).seed == 5


@pytest.mark.parametrize(
    ("setting", "code", "column"),
    [
        ("model.widths=[0]", "CE104", 15),
        ("model.widhts=[1]", "CE101", 7),
        ("seed", "CE002", 1),
        ("=3", "CE002", 1),
        ("model.activation=gel", "CE105", 18),
    ],
)
def test_a_fault_of_a_setting_points_into_the_argument(setting, code, column):
    with pytest.raises(SpecError) as caught:
        loads(BASE, settings=[setting])
    (fault,) = caught.value.faults
    assert fault.place is not None
    assert (fault.code, fault.place.file, fault.place.column) == (code, "--set", column)


def test_a_setting_of_a_swept_path_is_refused_and_one_of_the_sweep_is_not():
    swept = BASE + '\n[sweep]\n"model.widths" = [[2], [3]]\n'
    with pytest.raises(SpecError) as caught:
        loads(swept, settings=["model.widths=[4]"])
    (fault,) = caught.value.faults
    assert (fault.code, fault.message) == (
        "CE202",
        "no run would have this value: model.widths is swept",
    )
    assert fault.place is not None
    assert fault.place.file == "--set"
    found = loads(swept, settings=['sweep."model.widths"=[[4], [5]]']).sweep
    assert found is not None
    assert found.paths["model.widths"] == [[4], [5]]
