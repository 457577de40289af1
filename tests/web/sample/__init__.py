"""A surface that shows every part of the kit, for the tests of the kit."""
