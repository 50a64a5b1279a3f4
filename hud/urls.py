"""Addresses of the grid. A branch's name may contain slashes and may begin like one of the other pages' addresses, so
the branch comes last; `commit/…` and `cell/…` take hexadecimal digits only."""

from django.urls import path, register_converter

from hud import (
    act_views,
    break_views,
    column_views,
    last_good_views,
    live_views,
    log_views,
    metrics_views,
    pull_views,
    views,
)


class ShaConverter:
    """Four hexadecimal digits or more: 40 are a whole sha, or 64 in SHA-256 repositories."""

    regex = "[0-9a-fA-F]{4,64}"

    def to_python(self, value: str) -> str:
        return value.lower()

    def to_url(self, value: str) -> str:
        return value


class FailureConverter(ShaConverter):
    """The key of a failure: see `hud.failure_rules.key`."""

    regex = "[0-9a-f]{32}"


register_converter(ShaConverter, "sha")
register_converter(FailureConverter, "failure")

urlpatterns = [
    path("", views.home, name="home"),
    path("hud/<str:owner>/<str:repo>", views.trunk),
    path("hud/<str:owner>/<str:repo>/", views.trunk, name="trunk"),
    path("hud/<str:owner>/<str:repo>/go", views.go, name="go"),
    path("hud/<str:owner>/<str:repo>/live", live_views.without_streams, name="live"),
    path("hud/<str:owner>/<str:repo>/metrics", metrics_views.page, name="metrics"),
    path("hud/<str:owner>/<str:repo>/last-good", last_good_views.page, name="last-good"),
    path("hud/<str:owner>/<str:repo>/last-good.svg", last_good_views.badge, name="last-good-badge"),
    path("hud/<str:owner>/<str:repo>/breaks", break_views.breaks, name="breaks"),
    path("hud/<str:owner>/<str:repo>/break/<int:number>", break_views.one_break, name="break"),
    path("hud/<str:owner>/<str:repo>/break/<int:number>/revert", act_views.revert_break, name="revert-break"),
    path("hud/<str:owner>/<str:repo>/break/<int:number>/<slug:act>", act_views.act, name="act"),
    path("hud/<str:owner>/<str:repo>/commit/<sha:sha>", views.commit, name="commit"),
    path("hud/<str:owner>/<str:repo>/commit/<sha:sha>/revert", act_views.revert_commit, name="revert-commit"),
    path("hud/<str:owner>/<str:repo>/commit/<sha:sha>/revert/plan", act_views.revert_plan, name="revert-plan"),
    path("hud/<str:owner>/<str:repo>/cell/<sha:sha>/<int:slot>", views.cell, name="cell"),
    path("hud/<str:owner>/<str:repo>/cell/<sha:sha>/group/<str:slug>", views.group, name="group"),
    path("hud/<str:owner>/<str:repo>/pull/<int:number>", pull_views.page, name="pull"),
    path("hud/<str:owner>/<str:repo>/cell/<sha:sha>/<int:slot>/rerun", act_views.rerun_cell, name="rerun-cell"),
    path("hud/<str:owner>/<str:repo>/cell/<sha:sha>/<int:slot>/opinion", act_views.opinion, name="opinion"),
    path("hud/<str:owner>/<str:repo>/column/<int:slot>", column_views.page, name="column"),
    path("hud/<str:owner>/<str:repo>/column/<int:slot>/unstable", act_views.unstable, name="unstable"),
    path("hud/<str:owner>/<str:repo>/job/<int:job_id>", log_views.job, name="job"),
    path("hud/<str:owner>/<str:repo>/job/<int:job_id>/lines", log_views.lines, name="job-lines"),
    path("hud/<str:owner>/<str:repo>/job/<int:job_id>/find", log_views.find, name="job-find"),
    path("hud/<str:owner>/<str:repo>/job/<int:job_id>/again", log_views.again, name="job-again"),
    path("hud/<str:owner>/<str:repo>/failure/<failure:key>", log_views.failure, name="failure"),
    path("hud/<str:owner>/<str:repo>/<path:branch>", views.grid, name="grid"),
]
