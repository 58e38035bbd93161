"""The codes of the diagnostics. A code is never reused for another fault."""

from typing import NamedTuple


class Code(NamedTuple):
    """The text of `ceflow explain`: the fault, why it is one, and a document before and after the
    fix.
    """

    title: str
    why: str
    wrong: str = ""
    right: str = ""


CODES = {
    "CE001": Code(
        "the file cannot be read",
        "A document is a text file in UTF-8 of at most 256 KiB. It is TOML, or JSON if its name ends in"
        " .json. The file is missing or locked, or it is a folder, too large or not text.",
    ),
    "CE002": Code(
        "the text is not valid TOML or JSON",
        "The text must be one tree of tables, arrays and values before anything else is checked. Common"
        " slips: a string without quotes, a key that occurs twice in one table, a bracket left open.",
        "name = fig3",
        'name = "fig3"',
    ),
    "CE003": Code(
        "the document is of another language version",
        "`ceflow = 1` says which version of the language a document is written in. This ceflow reads"
        " version 1. In a later version the same keys may mean something else, so the document is"
        " refused.",
        "ceflow = 2",
        "ceflow = 1",
    ),
    "CE101": Code(
        "a key the language does not know",
        "Unknown keys are errors: otherwise a misspelt key would be ignored, and its default used"
        " silently.",
        "widhts = [500, 500]",
        "widths = [500, 500]",
    ),
    "CE102": Code(
        "a key that must be there is missing",
        "Some keys have no sensible default. The `type` of a model or stage and the `source` of data"
        " determine which other keys are allowed.",
        "[stages.alpha]\nratios = [0.1, 1.0]",
        '[stages.alpha]\ntype = "variance"\nratios = [0.1, 1.0]',
    ),
    "CE103": Code(
        "a value of the wrong type",
        "Values are never converted: a number in quotes is a string, 1.0 is not a whole number, and 1 is"
        " not true.",
        'seed = "0"',
        "seed = 0",
    ),
    "CE104": Code(
        "a value out of its range",
        "The value has the right type, but this key does not allow it.",
        "widths = [500, 0]",
        "widths = [500, 500]",
    ),
    "CE105": Code(
        "a value that is not one of the choices",
        "The key takes one of a few names. The message lists them, or suggests the nearest one.",
        'activation = "reluu"',
        'activation = "relu"',
    ),
    "CE201": Code(
        "a stage refers to something that is not there",
        "Stages run in the order written, so a stage can refer only to stages above it: a search to a"
        " variance stage, a kernel to a kernel, any stage to the answer of a search, such as"
        " `best.primal` or `best.dual`.",
        '[stages.best]\ntype = "search"\nvariance = "alpha"\n\n[stages.alpha]\ntype = "variance"',
        '[stages.alpha]\ntype = "variance"\n\n[stages.best]\ntype = "search"\nvariance = "alpha"',
    ),
    "CE202": Code(
        "keys that do not go together",
        "Each key is right alone, but together they have no meaning, or contradict each other.",
        '[stages.best]\ntype = "search"\nvariance = "alpha"\nalpha = 3.6',
        '[stages.best]\ntype = "search"\nalpha = 3.6',
    ),
    "CE203": Code(
        "no such method for this model",
        "The method does not exist for this model, or ceflow does not have it. For example, closed"
        " forms are known for some activations only, and a network with an infinite layer cannot be"
        " drawn.",
        '[model]\ntype = "mlp"\nwidths = [inf, inf]\n\n[stages.kernel]\ntype = "kernel"\n'
        'method = "empirical"',
        '[model]\ntype = "mlp"\nwidths = [inf, inf]\n\n[stages.kernel]\ntype = "kernel"\n'
        'method = "analytic"',
    ),
    "CE204": Code(
        "the number of inputs or outputs is unknown or contradicts the data",
        "The numbers come from the data if there are data, and otherwise from the model. If both give a"
        " number, they must agree.",
        '[model]\ntype = "mlp"\nwidths = [500]',
        '[model]\ntype = "mlp"\nwidths = [500]\ninputs = 784\noutputs = 10',
    ),
    "CE205": Code(
        "a document extends itself, or a chain of more than 16",
        "`extends` lays a document over another one, which may extend a third. A chain that returns to"
        " its start has no first document.",
    ),
    "CE206": Code(
        "a sweep over a path that does not exist",
        "A key of [sweep] is a path to a value of the document: the names of the tables and of the key,"
        " joined by dots, in quotes. The table that holds the value must be written in the document.",
        '[sweep]\n"stage.alpha.draws" = [100, 1000]',
        '[sweep]\n"stages.alpha.draws" = [100, 1000]',
    ),
    "CE207": Code(
        "a module that is not bound, or is not what a module must be",
        "A model of type `external` names a module of your own. A document never names code to run, so"
        " the name is bound to a function `make` from outside: on the command line, or in Python."
        " `make(key)`, or `make(key, width)` if the model has a `width`, returns an Equinox module,"
        " which takes one example and returns a vector of floats.",
    ),
    "CE301": Code(
        "a data file is missing",
        "ceflow looks for the `path` of [data] beside the document, then in the folder that the"
        " environment variable CEFLOW_DATA names. The `from` of a kernel and the `latency` of a search"
        " are looked for beside the document only.",
    ),
    "CE302": Code(
        "a data file is damaged or not what its source expects",
        "The file contradicts its own header, as after a broken download, or it has another format. Or"
        " its examples do not fit together: test images have another size, a test label is missing in"
        " training, an example is empty, or numbers are not finite. ceflow checks all of this before it"
        " computes anything.",
    ),
    "CE303": Code(
        "a data file is a pickle, which is never loaded",
        "Loading a Python pickle runs any code that it contains. CIFAR-10 also comes in a binary"
        " version. Write arrays of your own to an .npz by `numpy.savez`, as arrays of numbers.",
    ),
    "CE304": Code(
        "the data hold fewer examples than asked for",
        "In the chosen `classes` there are fewer examples than `train` or `test` asks for, or there are"
        " no training examples.",
        'source = "digits"\ntrain = 5000',
        'source = "digits"\ntrain = 1500',
    ),
    "CE401": Code(
        "a stage would need more memory than the machine has",
        "The memory is forecast before anything runs. A kernel over N examples has N x N entries, and"
        " an empirical kernel also keeps the features of every example.",
        'source = "gaussian"\ninputs = 10\ntrain = 1000000',
        'source = "gaussian"\ninputs = 10\ntrain = 2000',
    ),
    "CE501": Code(
        "the run directory cannot be used",
        "A run directory holds the run of one document, and one process at a time works in it. Nothing"
        " is overwritten: `--out` takes a new directory, or that of an unfinished run of the same"
        " document. The directory must be writable, and no other process may be at work in it.",
    ),
}
