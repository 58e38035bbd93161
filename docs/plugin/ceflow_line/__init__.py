"""Points on a line, activations, gated layers and a tally: an example of a plugin of ceflow."""

import ceflow.spec  # noqa: F401 (which loads the plugins, so that any of them can be imported first)
