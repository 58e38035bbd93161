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
        "A document is a text file in UTF-8 of at most 256 KiB, TOML, or JSON where its name ends in"
        " .json. A folder, a file that is missing or locked, and binary content are not.",
    ),
    "CE002": Code(
        "the text is not valid TOML or JSON",
        "Before anything else the text must be one tree of tables, arrays and values. Common slips:"
        " a string without quotes, a key that occurs twice in one table, a bracket left open.",
        "name = fig3",
        'name = "fig3"',
    ),
    "CE003": Code(
        "the document is of another language version",
        "`ceflow = 1` says which version of the language a document is written in. This ceflow reads"
        " version 1; a later one may mean something else by the same keys, so it is not guessed at.",
        "ceflow = 2",
        "ceflow = 1",
    ),
    "CE101": Code(
        "a key the language does not know",
        "Unknown keys are errors: a misspelt key would otherwise be ignored, and its default used"
        " without a word.",
        "widhts = [500, 500]",
        "widths = [500, 500]",
    ),
    "CE102": Code(
        "a key that must be there is missing",
        "Some keys have no sensible default. `type` (of a model or stage) and `source` (of data) say"
        " which others there may be.",
        "[stages.alpha]\nratios = [0.1, 1.0]",
        '[stages.alpha]\ntype = "variance"\nratios = [0.1, 1.0]',
    ),
    "CE103": Code(
        "a value of the wrong type",
        "Values are never converted: a number in quotes is a string, 1.0 is no whole number, and 1 is"
        " not true.",
        'seed = "0"',
        "seed = 0",
    ),
    "CE104": Code(
        "a value out of its range",
        "The type is right, the value is not one that has a meaning there.",
        "widths = [500, 0]",
        "widths = [500, 500]",
    ),
    "CE105": Code(
        "a value that is not one of the choices",
        "The key takes one of a few names; the message lists them or says which is meant.",
        'activation = "reluu"',
        'activation = "relu"',
    ),
    "CE201": Code(
        "a stage refers to something that is not there",
        "Stages run in the order written, so a stage can refer to those above it: a search to a"
        " variance stage, a kernel to a kernel, any stage to a search's `best.primal` or `best.dual`.",
        '[stages.best]\ntype = "search"\nvariance = "alpha"\n\n[stages.alpha]\ntype = "variance"',
        '[stages.alpha]\ntype = "variance"\n\n[stages.best]\ntype = "search"\nvariance = "alpha"',
    ),
    "CE202": Code(
        "keys that do not go together",
        "Each key is right alone, but together they say nothing, or two things at once.",
        '[stages.best]\ntype = "search"\nvariance = "alpha"\nalpha = 3.6',
        '[stages.best]\ntype = "search"\nalpha = 3.6',
    ),
    "CE203": Code(
        "no such method for this model",
        "Theory or mathematics does not offer it: closed forms are known for some activations only,"
        " and a network with an infinite layer cannot be drawn.",
        '[stages.kernel]\ntype = "kernel"\nkind = "nngp"\nmethod = "empirical"',
        '[stages.kernel]\ntype = "kernel"\nkind = "nngp"\nmethod = "analytic"',
    ),
    "CE204": Code(
        "the number of inputs or outputs is unknown or contradicts the data",
        "It comes from the data where there is data, and from the model otherwise. Where both say it"
        " they must agree.",
        '[model]\ntype = "mlp"\nwidths = [500]',
        '[model]\ntype = "mlp"\nwidths = [500]\ninputs = 784\noutputs = 10',
    ),
    "CE205": Code(
        "a document extends itself",
        "`extends` lays a document over another, and that may extend a third; a chain that comes back"
        " to where it began has no bottom.",
    ),
    "CE206": Code(
        "a sweep over a path that does not exist",
        "A key of [sweep] is a path to a value of the document: tables joined by dots, in quotes. The"
        " table that holds the value must be written in the document.",
        '[sweep]\n"stage.alpha.draws" = [100, 1000]',
        '[sweep]\n"stages.alpha.draws" = [100, 1000]',
    ),
    "CE301": Code(
        "a data file is missing",
        "`path` is looked for beside the document, then in the folder that the environment variable"
        " CEFLOW_DATA names.",
    ),
    "CE302": Code(
        "a data file is damaged or not what its source expects",
        "What the file says of itself is not so, a broken download or another format; or its examples do"
        " not go together: test images of another size, a test label that training lacks, an example"
        " without numbers, numbers that are not finite. All of it is checked before anything is"
        " computed.",
    ),
    "CE303": Code(
        "a data file is a pickle, which is never loaded",
        "Loading a Python pickle runs whatever code it holds. CIFAR-10 also comes in a binary version;"
        " arrays of your own go into an .npz by `numpy.savez`, as arrays of numbers.",
    ),
    "CE304": Code(
        "the data hold fewer examples than asked for",
        "After the choice of `classes` there are fewer examples than `train` or `test` says, or none to"
        " train on.",
        'source = "digits"\ntrain = 5000',
        'source = "digits"\ntrain = 1500',
    ),
    "CE401": Code(
        "a stage would need more memory than the machine has",
        "Forecast before anything runs. A kernel over N examples has N x N entries, and an empirical"
        " one also keeps the features of every example.",
        'source = "gaussian"\ninputs = 10\ntrain = 1000000',
        'source = "gaussian"\ninputs = 10\ntrain = 2000',
    ),
    "CE501": Code(
        "the run directory cannot be used",
        "A run directory holds the run of one document, and one process at a time works in it. Nothing"
        " is overwritten: `--out` wants a new directory, or that of an unfinished run of the same document"
        " that no other process is at work in, and that can be written.",
    ),
}
