"""Addresses of signing in. Some carry the names by which allauth looks for them; its other pages don't exist here."""

from django.urls import path

from project.accounts import views

urlpatterns = [
    path("login/", views.sign_in, name="account_login"),
    path("logout/", views.sign_out, name="account_logout"),
    path("inactive/", views.inactive, name="account_inactive"),
    path("github/login/callback/", views.returned, name="github_callback"),
    path("github/login/cancelled/", views.cancelled, name="socialaccount_login_cancelled"),
]
