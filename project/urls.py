"""Every address of the site. A page's address names its app, its view and its template."""

from django.contrib import admin
from django.urls import include, path

from hud import metrics_views
from project import health

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("project.accounts.urls")),
    path("", include("project.audit.urls")),
    path("", include("project.outbox.urls")),
    path("api/", include("hud.api_urls")),
    path("metrics", metrics_views.prometheus),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("", include("hud.status_urls")),
    path("", include("hud.urls")),
]
