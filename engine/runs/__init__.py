"""Run folders: events, locks, workers, and finding what happened."""
