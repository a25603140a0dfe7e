"""Uploads to CKAN load themselves into the DataStore, and CKAN shows what happened."""
