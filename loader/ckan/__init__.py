"""CKAN's API: its client, and the DataStore filled through it."""
