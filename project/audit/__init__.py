"""Who did what, when and why. Still an empty room: people cannot change anything outside the admin yet."""
