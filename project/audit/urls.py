"""The audit log's addresses."""

from django.urls import path

from project.audit import views

urlpatterns = [
    path("audit", views.page, name="audit"),
    path("audit.csv", views.download, name="audit-csv"),
]
