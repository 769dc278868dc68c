"""Comparisons with peers and limits: `python -m benchmarks.NAME` from the checkout; results/ has what they found.

Never as files: this folder on the path would put tokenize.py in the place of the standard library's.
"""
