"""Every row of a resource's file against its schema; the DataStore stays as it is."""

from airflow.sdk import DAG

from loader.factory import conf, wiring

with DAG("aircan_validate", **wiring.common("aircan_validate", conf.VALIDATE, __doc__)):
    wiring.validate_one()
