#!/usr/bin/env python
"""Django's command line for Arborist. Without DATABASE_URL and REDIS_URL it brings its own PostgreSQL and Redis."""

import importlib
import os
import sys

NEED_NO_SERVERS = {"help", "--help", "-h", "version", "--version", "check", "collectstatic", "diffsettings"}
NEED_NO_SERVERS |= {"simulate_github"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        from project.embedded.environment import prepare
        from project.embedded.processes import StartError
    except ModuleNotFoundError as error:
        sys.exit(f"arborist: {error.name} is not installed. Type `make run`, or use .venv/bin/python.")

    try:
        servers = prepare()
        importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"])  # a wrong setting ends us before servers start
        if servers is not None and len(sys.argv) > 1 and sys.argv[1] not in NEED_NO_SERVERS:
            servers.start()
            for note in servers.notes:
                print(f"arborist: {note}", file=sys.stderr)
    except (StartError, OSError) as error:
        sys.exit(f"arborist: {error}")

    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    finally:
        if servers is not None:
            servers.stop()


if __name__ == "__main__":
    main()
