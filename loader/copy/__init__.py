"""Verified rows -> the DataStore's table: all that knows Postgres.

destination        one load: which of these steps it takes, in which order
settings, portal   what a caller may choose, and what is asked of the portal
database, refusal  one connection, and the one place where psycopg's errors become ours
statements         the long statements, which are files beside their modules
relation           the table and its shadow: names, whose they are
rights, live_table, resource_lock, slots  whether the role may load, into this table, now
locks              work that may have to wait for a lock
shadow             the shadow table: DDL, key and index
encoder, encode    verified blocks -> COPY text
lexemes, vocabulary, fulltext, slow_texts  ``_full_text``: before the COPY, in it, and after it
lanes              COPY text -> the shadow table, side by side
dictionary         what CKAN's catalog tells of the live table: its columns, types, overrides
columns, indexes, triggers, views, carry_over  what the live table carries -> on the new one
gaps, free_ids, changes, concurrent_writes, concurrent_rows  what others write during a load
swap, commit       shadow table -> live table, in one transaction; whether its COMMIT is known
numbering, unique_key, live_columns, merged_text, merge  shadow table -> rows of the live table
row_count          the number of rows that CKAN shows
gone               the table of a resource that is gone -> dropped
"""
