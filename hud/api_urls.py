"""The addresses of the APIs, below `/api/`."""

from django.urls import path

from hud import hud_api
from hud.api import api

urlpatterns = [
    path("v1/", api.urls),
    path("hud/<str:owner>/<str:repo>/<path:branch>/<int:page>", hud_api.page, name="hud-api"),
]
