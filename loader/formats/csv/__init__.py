"""CSV: encoding, dialect, blocks of records, cells."""
