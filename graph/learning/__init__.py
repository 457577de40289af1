"""Learning on graphs: public graphs divided among clients, and what each learns alone."""
