"""Every row of a resource's file against its schema; the DataStore stays as it is."""

from airflow.sdk import DAG

from loader.factory import conf, dag_parts

with DAG("aircan_validate", **dag_parts.arguments("aircan_validate", conf.VALIDATE, __doc__)):
    dag_parts.validate()
