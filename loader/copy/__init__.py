"""Rows -> the DataStore's table: all that knows Postgres.

database    one connection, and the one seam where psycopg's errors become ours
locks       work that may have to wait for a lock, within a patience
relation    the shadow table: names, DDL, keys and indexes
fulltext    the expression that fills ``_full_text`` while COPY runs
slow_texts  texts that the server's text search parser is slow at
lanes       encoded blocks -> the shadow table, side by side
dictionary  what CKAN's catalog tells of the live table: its columns, types, overrides
keep        what the live table carries -> the same on the shadow
views       the aliases and views over the live table -> the same over the new one
swap        shadow table -> live table, in one transaction
meanwhile   what others write into the live table during a load
merge       shadow table -> rows among those of the live table
"""
