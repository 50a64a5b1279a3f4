"""The app of commits, configurations, runs, cells and breaks."""

from django.apps import AppConfig


class HudConfig(AppConfig):
    """Named `hud`; adds its part to the readiness check, and hears what became of the writes it asked for."""

    name = "hud"

    def ready(self) -> None:
        """Have `/readyz` ask for the age of what is shown, and the outbox tell of its writes' fates. Imported here, for
        models need their apps first."""
        from hud import remedies
        from hud.readiness import data_ages
        from project import health, outbox
        from project.outbox import kinds

        health.register("data", data_ages)
        for kind in kinds.names():
            outbox.on_fate(kind, remedies.fate)
