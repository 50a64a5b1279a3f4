"""Addresses of what was asked of GitHub."""

from django.urls import path

from project.outbox import views

urlpatterns = [
    path("writes", views.page, name="writes"),
    path("writes/<int:write_id>", views.write, name="write"),
    path("writes/<int:write_id>/cancel", views.cancel, name="write_cancel"),
    path("writes/<int:write_id>/retry", views.retry, name="write_retry"),
]
