"""Every address of the site. A page's address names its app, its view and its template."""

from django.contrib import admin
from django.urls import include, path

from project import health

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("hud.api_urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("", include("hud.status_urls")),
    path("", include("hud.urls")),
]
