"""A DAG file that Airflow cannot import, to see that it says so."""

from airflow.sdk import dag

raise RuntimeError(f"no {dag.__name__} here")
