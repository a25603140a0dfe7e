"""One reading of a source: its head, its verified rows, those set aside."""
