"""``python -m loader`` is the command ``aircan``."""

from loader.cli.commands import main

main()
