"""Issues and pull requests, queues, the board. Still an empty room: it is furnished with the triage board."""
