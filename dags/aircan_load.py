"""The file of one resource into CKAN's DataStore."""

from airflow.sdk import DAG

from loader.factory import conf, dag_parts

with DAG("aircan_load", **dag_parts.arguments("aircan_load", conf.LOAD, __doc__)):
    dag_parts.load()
