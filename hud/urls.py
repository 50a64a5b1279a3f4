"""Addresses of the grid. A branch's name may contain slashes and may begin like one of the other pages' addresses, so
the branch comes last; `commit/…` and `cell/…` take hexadecimal digits only."""

from django.urls import path, register_converter

from hud import views


class ShaConverter:
    """Four hexadecimal digits or more: 40 are a whole sha, or 64 in SHA-256 repositories."""

    regex = "[0-9a-fA-F]{4,64}"

    def to_python(self, value: str) -> str:
        return value.lower()

    def to_url(self, value: str) -> str:
        return value


register_converter(ShaConverter, "sha")

urlpatterns = [
    path("", views.home, name="home"),
    path("hud/<str:owner>/<str:repo>", views.trunk),
    path("hud/<str:owner>/<str:repo>/", views.trunk, name="trunk"),
    path("hud/<str:owner>/<str:repo>/go", views.go, name="go"),
    path("hud/<str:owner>/<str:repo>/commit/<sha:sha>", views.commit, name="commit"),
    path("hud/<str:owner>/<str:repo>/cell/<sha:sha>/<int:slot>", views.cell, name="cell"),
    path("hud/<str:owner>/<str:repo>/cell/<sha:sha>/group/<str:slug>", views.group, name="group"),
    path("hud/<str:owner>/<str:repo>/<path:branch>", views.grid, name="grid"),
]
