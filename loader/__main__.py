"""``python -m loader`` is the command ``aircan``."""

from loader.cli import main

main()
