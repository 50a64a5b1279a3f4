"""A worker process of the tests': delivers the write named on its command line, and is killed while it does."""

import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
django.setup()

from project.outbox.deliver import deliver  # noqa: E402 - models can't be imported before Django is set up

print(deliver(int(sys.argv[1])), flush=True)
