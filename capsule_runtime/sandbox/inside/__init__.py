"""The program inside the sandbox: standard library only, bound read-only as `cadastre_inside`."""
