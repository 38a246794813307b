"""Five backups side by side, each ending differently, on all that runs in production but Google's own services."""
