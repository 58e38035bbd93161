"""`python -m ceflow`."""

from ceflow.cli import main

main()
