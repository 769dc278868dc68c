"""Training configs: one table of keys, files with line numbers, checks, and commented YAML."""
