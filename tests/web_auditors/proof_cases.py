"""Proofs good and bad, drawn from a seed: for the browser's verifier and for ours."""

from __future__ import annotations

import random
from dataclasses import dataclass

from trust.errors import TrustError
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind, LogEntry
from trust.log.logged import verify_logged
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.proof import LogProof
from trust.log.tree import Tree, leaf_hash

ORIGIN = "plaine.example/log"
KINDS = list(Kind)
# Letters that formats are made of, and some that look like them.
LETTERS = "0123456789+/=AZaz \n\t—#\u00a0\u0085\ufeff\u2028é\r"


@dataclass(frozen=True)
class Case:
    """What is pasted."""

    proof: str
    digest: str
    policy: str


def verdict(case: Case) -> str:
    """What Python says: what was verified, or that it is refused."""
    try:
        policy = Policy.parse(case.policy.encode())
        kind, found = verify_logged(case.proof.encode(), Digest.parse(case.digest), policy)
    except TrustError:
        return "refused"
    head = found.checkpoint.checkpoint
    witnesses = ",".join(sorted({key.name for key in found.checkpoint.cosigned}))
    return f"{kind} {found.index} {head.origin} {head.size} {witnesses}"


def cases(seed: int, number: int) -> list[Case]:
    """Half of them as they should be, half with one thing altered."""
    draw = random.Random(seed)
    return [_altered(draw, made) if n % 2 else made for n, made in enumerate(_made(draw, number))]


def _made(draw: random.Random, number: int) -> list[Case]:
    made = []
    digests = [Digest.of(draw.randbytes(9)) for _ in range(400)]
    kinds = [draw.choice(KINDS) for _ in digests]
    entries = zip(kinds, digests, strict=True)
    tree = Tree(leaf_hash(LogEntry(kind, digest).emit()) for kind, digest in entries)
    for _ in range(number):
        size = draw.choice([1, 2, 3, 64, 65, draw.randint(1, 400), 400])
        index = draw.randrange(size)
        log = PrivateKey(draw.randbytes(32))
        witnesses = [PrivateKey(draw.randbytes(32)) for _ in range(draw.randint(1, 4))]
        note = Checkpoint(ORIGIN, size, tree.root(size)).signed(log)
        signed = [
            cosign(note.text, f"w{n}.example", key, draw.choice([0, 7, 2**40]))
            for n, key in enumerate(witnesses)
            if draw.random() < 0.8
        ]
        extra = draw.randbytes(draw.choice([0, 0, 5]))
        proof = LogProof(
            index, tuple(tree.inclusion(index, size)), note.with_signatures(signed).emit(), extra
        ).emit()
        made.append(Case(proof.decode(), digests[index], _policy(draw, log, witnesses)))
    return made


def _policy(draw: random.Random, log: PrivateKey, witnesses: list[PrivateKey]) -> str:
    names = [f"w{n}" for n in range(len(witnesses))]
    lines = ["# whom we trust", f"log {LogKey(ORIGIN, log.public)} https://log.example"]
    for name, key in zip(names, witnesses, strict=True):
        lines.append(f"witness {name}\t{CosignerKey(f'{name}.example', key.public)}")
    threshold = draw.choice(["all", "any", str(draw.randint(1, len(names)))])
    lines += [f"group g {threshold} {' '.join(names)}", ""]
    lines.append(f"quorum {draw.choice(['g', 'g', 'none', 'w0'])}")
    return "".join(f"{line}\n" for line in lines)


def _altered(draw: random.Random, case: Case) -> Case:
    part = draw.choice(["proof", "proof", "proof", "policy", "digest"])
    text = getattr(case, part)
    at = draw.randrange(len(text))
    how = draw.randrange(4)
    if how == 0:
        text = text[:at] + draw.choice(LETTERS) + text[at + 1 :]
    elif how == 1:
        text = text[:at] + draw.choice(LETTERS) + text[at:]
    elif how == 2:
        text = text[:at] + text[at + 1 :]
    else:  # a line moved
        lines = text.split("\n")
        one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        text = "\n".join(lines)
    return Case(**{**vars(case), part: text})
