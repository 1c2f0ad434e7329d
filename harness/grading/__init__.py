"""Asking an embedder and a judge about replies that were kept, when the load is over."""
