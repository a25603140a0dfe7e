"""CKAN's configuration -> what the parts of the extension have to know.

In: options named ``ckanext.aircan.*``, declared in config_declaration.yaml. Out: their values, read
when they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ckan.exceptions import CkanConfigurationException
from ckan.plugins import plugin_loaded, toolkit
from ckanext.aircan.airflow import Airflow, AirflowError, AirflowSettings
from ckanext.aircan.logic import schema

_PREFIX = "ckanext.aircan."
# What portals and resources may say of how files are read, and what the factory does where neither
# says so. Of the encoding it may have been told something else.
READING: Mapping[str, Any] = {
    "default_encoding": None,
    "types": "auto",
    "dates": "auto",
    "decimal": "auto",
    "missing": "keep",
    "strip": False,
    "keep_types": False,
    "max_bad_rows": 1000,
    "max_bad_share": 0.05,
}


def option(name: str) -> Any:  # noqa: ANN401
    """Return the value of ``ckanext.aircan.<name>``."""
    return toolkit.config.get(_PREFIX + name)


def airflow() -> Airflow:
    """Return the Airflow that runs the DAGs.

    Raises:
        AirflowError: Nobody has said where it is.
    """
    url = option("airflow_url")
    if not url:
        raise AirflowError("ckanext.aircan.airflow_url is not set", "set it in CKAN's ini")
    return Airflow(
        AirflowSettings(
            url=url,
            api=option("airflow_api"),
            auth=option("airflow_auth"),
            username=option("airflow_username") or "",
            password=option("airflow_password") or "",
            token=option("airflow_token") or "",
            timeout_s=float(option("airflow_timeout_s")),
        )
    )


def api_endpoint() -> str:
    """Return the URL of this CKAN's API, as the factory is to call it."""
    return option("api_endpoint") or f"{toolkit.config['ckan.site_url'].rstrip('/')}/api/"


def reading() -> dict[str, Any]:
    """Return what the portal says of how files are read: options of the factory's conf.

    Raises:
        CkanConfigurationException: It says what a resource could not.
    """
    # Not by validators in the declaration: CKAN looks for those before it knows a plugin's own.
    said, errors = toolkit.navl_validate({name: option(name) for name in READING}, schema.reading())
    if errors:
        wrong = (f"{_PREFIX}{name}: {'; '.join(why)}" for name, why in errors.items())
        raise CkanConfigurationException(f"Invalid configuration values: {', '.join(wrong)}")
    return said


def is_loadable(format_: str | None, url: str | None, url_type: str | None) -> bool:
    """Tell whether a resource of this format, and from there, is to be loaded by itself."""
    if (format_ or "").lower() not in option("formats"):
        return False
    # Of these, the DataStore is where the data is at home, not a copy of a file; CKAN 2.11 makes
    # them under this URL first, and gives them their type then.
    is_datastore_s = plugin_loaded("datastore") and (
        url == "_datastore_only_resource" or url_type in toolkit.h.datastore_rw_resource_url_types()
    )
    return not is_datastore_s
