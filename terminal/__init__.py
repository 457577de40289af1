"""How a program of Cadastre speaks at a terminal: output, progress, arguments, exit codes."""
