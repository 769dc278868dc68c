"""Talking to the base and to the tuned model, in a worker of its own."""
