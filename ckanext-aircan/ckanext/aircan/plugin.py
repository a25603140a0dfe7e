"""The extension, as CKAN loads it."""

from __future__ import annotations

from typing import Any

from ckan import model, plugins
from ckan.common import CKANConfig
from ckan.lib.plugins import DefaultTranslation
from ckan.plugins import toolkit
from ckanext.aircan import changes, cli, helpers, views
from ckanext.aircan.config import reading
from ckanext.aircan.logic import action, auth


@toolkit.blanket.actions(action)
@toolkit.blanket.auth_functions(auth)
@toolkit.blanket.blueprints(views)
@toolkit.blanket.cli(cli)
@toolkit.blanket.config_declarations
@toolkit.blanket.helpers(helpers)
class AircanPlugin(plugins.SingletonPlugin, DefaultTranslation):
    """Loads what is uploaded, and shows what happened."""

    plugins.implements(plugins.IConfigurer)
    plugins.implements(plugins.IConfigurable)
    plugins.implements(plugins.IDomainObjectModification, inherit=True)
    plugins.implements(plugins.ITranslation)

    def update_config(self, config: CKANConfig) -> None:
        """Add the pages."""
        toolkit.add_template_directory(config, "templates")
        toolkit.add_resource("assets", "ckanext-aircan")

    def configure(self, config: CKANConfig) -> None:  # noqa: ARG002
        """Refuse settings that cannot be, and hear of commits."""
        reading()
        changes.listen()

    def notify(self, entity: Any, operation: str) -> None:  # noqa: ANN401
        """Keep in mind what is about to be committed: resources to load, and what goes."""
        if isinstance(entity, model.Resource | model.Package):
            changes.note_lost(entity, is_purged=operation == "deleted")
        if isinstance(entity, model.Resource) and operation != "deleted":
            changes.note(entity, is_new=operation == "new")
