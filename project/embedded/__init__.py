"""PostgreSQL and Redis from wheels, for whoever has configured neither. See `servers` for the way in."""
