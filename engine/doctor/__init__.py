"""What is wrong with this machine, as values: each check with what was found and what to do. Nothing is changed."""
