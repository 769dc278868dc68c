"""Data only: chat templates, samples, project files."""
