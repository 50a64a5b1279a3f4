from django.apps import AppConfig


class HudConfig(AppConfig):
    name = "hud"
