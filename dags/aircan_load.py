"""The file of one resource into CKAN's DataStore."""

from airflow.sdk import DAG

from loader.factory import conf, wiring

with DAG("aircan_load", **wiring.common("aircan_load", conf.LOAD, __doc__)):
    wiring.load_one()
