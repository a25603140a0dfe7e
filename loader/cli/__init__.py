"""The command ``aircan``."""
