"""Will it fit: presets, estimates of the memory that a job needs, and the cheapest change that makes it fit."""
