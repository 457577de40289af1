"""Experimental threshold CKKS: a key that no machine ever holds, for public data only.

After Mouchet, Bertrand and Hubaux, "An Efficient Threshold Access-Structure for RLWE-Based
Multiparty Homomorphic Encryption" (J. Cryptology 2023, doi 10.1007/s00145-023-09452-8), with
flooding after Li, Micciancio, Schultz and Sorrell (Crypto 2022). Not reviewed by outside
cryptographers; `opening.announce` refuses personal and company data whatever a manifest says.

    profile    the one parameter set and the numbers that its noise must satisfy
    transform  exact arithmetic modulo 60-bit primes and the number theoretic transform
    ceremony   shares of a joint public key, and of the secret that is never summed
    opening    announced sets, flooded partial decryptions, the count of them, combination
    agreement  several openings of one aggregate: detect and name a trustee that lied
    context    the joint public key inside an ordinary TenSEAL public context
"""
