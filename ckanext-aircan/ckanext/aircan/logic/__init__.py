"""What can be asked for through CKAN's API."""
