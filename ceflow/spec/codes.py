"""The codes a diagnostic can carry. A code is never reused for another fault."""

CODES = {
    "CE001": "the file cannot be read",
    "CE002": "the text is not valid TOML or JSON",
    "CE003": "the document is of another language version",
    "CE101": "a key the language does not know",
    "CE102": "a key that must be there is missing",
    "CE103": "a value of the wrong type",
    "CE104": "a value out of its range",
    "CE105": "a value that is not one of the choices",
    "CE201": "a stage refers to something that is not there",
    "CE202": "keys that do not go together",
    "CE203": "no such method for this model",
    "CE204": "the number of inputs or outputs is unknown or contradicts the data",
    "CE301": "a data file is missing",
    "CE302": "a data file is damaged or not what its source expects",
    "CE303": "a data file is a pickle, which is never loaded",
    "CE304": "the data hold fewer examples than asked for",
    "CE401": "a stage would need more memory than the machine has",
    "CE501": "the run directory belongs to another document",
}
