"""Sign-in for every web surface: who asks, with which roles, and what a page may be asked for."""
