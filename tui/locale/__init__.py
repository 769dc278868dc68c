"""gettext catalogues, and the program that keeps them up to date (`make words`)."""
