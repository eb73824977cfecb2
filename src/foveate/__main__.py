"""Run the command line: python -m foveate."""

from foveate.cli.main import main

main()
