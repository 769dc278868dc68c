"""The training step and the loop around it. Only workers import these modules."""
