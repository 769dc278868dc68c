"""Adapter plus base model to a merged model: planned, streamed, verified."""
