from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "project.accounts"

    def ready(self) -> None:
        """Passwords are typed in Django's admin alone: write down who came in that way."""
        from django.contrib.auth.signals import user_logged_in

        from project.accounts.passwords import record_sign_in

        user_logged_in.connect(record_sign_in, dispatch_uid="arborist-password-sign-in")
