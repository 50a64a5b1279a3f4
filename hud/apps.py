"""The app of commits, configurations, runs and cells."""

from django.apps import AppConfig


class HudConfig(AppConfig):
    """Named `hud`; adds its part to the readiness check."""

    name = "hud"

    def ready(self) -> None:
        """Have `/readyz` ask for the age of what is shown. Imported here, for models need their apps first."""
        from hud.readiness import data_ages
        from project import health

        health.register("data", data_ages)
