"""The questions of each step; engine/wizard/table.py puts them in order."""
