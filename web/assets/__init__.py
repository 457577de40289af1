"""Styles, scripts and pictures that pages load; `web.files` serves them under hashed names."""
