"""Whose day it is. So far the resolver alone, `schedule` (and `turns` below it); models and pages are still to come."""
