"""Rows -> the DataStore's table: all that knows Postgres.

database    one connection, and the one seam where psycopg's errors become ours
relation    the shadow table: names, DDL, keys and indexes
fulltext    the expression that fills ``_full_text`` while COPY runs
lanes       encoded blocks -> the shadow table, side by side
swap        shadow table -> live table, in one transaction
"""
