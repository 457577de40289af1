"""What runs a Flower app inside the sandbox; shipped in its bundle as the package cadastre_flower.

It needs numpy and flwr and nothing of the rest of the house, and uses relative imports only.
"""
