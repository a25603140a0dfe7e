"""Another extension, which has a say in what AirCan does, by the names of resources."""

from __future__ import annotations

from pathlib import Path

from ckan import plugins
from ckan.plugins import toolkit
from ckanext.aircan.interfaces import IAircan


class HooksPlugin(plugins.SingletonPlugin):
    plugins.implements(IAircan, inherit=True)

    def can_load(self, resource):
        if resource["name"].startswith("stumbled over"):
            raise RuntimeError(f"a fault of the plugin: {resource['name']}")
        return resource["name"] != "not to be loaded"

    def after_load(self, resource, job):
        told = Path(toolkit.config["ckan.storage_path"], "after_load.txt")
        with told.open("a", encoding="utf-8") as file:
            file.write(f"{resource['id']} {job['status']} {job['info']['rows']}\n")

    def before_columns_change(self, resource, before, after):
        if resource["name"] == "fixed columns":
            names = ", ".join(one["id"] for one in after)
            raise toolkit.ValidationError({"columns": [f"{names}: these must not change"]})
