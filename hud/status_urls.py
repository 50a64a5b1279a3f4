"""`/status`."""

from django.urls import path

from hud import status_views

urlpatterns = [path("status", status_views.page, name="status")]
