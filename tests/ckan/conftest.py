"""What several of the tests with a CKAN ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loader.ckan.settings import CkanSettings
from loader.net.retry import Attempts


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tries of a call as ever, and no pauses between them."""
    attempts = CkanSettings.attempts

    def at_once(settings: CkanSettings, *, answered: bool = True) -> Attempts:
        return attempts(replace(settings, backoff_s=0.0, max_backoff_s=0.0), answered=answered)

    monkeypatch.setattr(CkanSettings, "attempts", at_once)
