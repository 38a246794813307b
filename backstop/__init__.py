"""Starts and stops Cloud Spanner backups, and leaves nothing behind."""
