"""The numbers of the `encrypted` protection: CKKS ciphertexts that anybody can add, none can open.

Everything but `scheme` is numpy alone; `scheme` is the only module that knows TenSEAL.
"""
