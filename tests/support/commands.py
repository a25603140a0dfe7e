"""Run commands of CKAN's one after the other: its start takes longer than most of them.

With CKAN's Python: `python commands.py INI '[["db", "init"], ...]'`.
"""

import json
import sys

from ckan.cli.cli import ckan

for arguments in json.loads(sys.argv[2]):
    ckan.main(["-c", sys.argv[1], *arguments], standalone_mode=False)
