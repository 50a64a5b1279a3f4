"""People who use Arborist."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person. Their own model from the start, so that sign-in with GitHub can add to it."""
