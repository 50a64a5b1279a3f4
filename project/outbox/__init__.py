"""Every write to GitHub, as a row first. Still an empty room: Arborist does not write to GitHub yet."""
