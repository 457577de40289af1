"""What a reason quotes: our own details as sentences, what others wrote as foreign words.

A stored reason carries its details in English. Those that the scheduler itself says stand here,
letter by letter (a test reads its source for them); the rest are a worker's, a helper's or
another library's words, which a page marks as English.
"""

from __future__ import annotations

from functools import lru_cache

from scheduler.domain.retelling import pattern
from web.sentences import Foreign, Sentence, Value, mark

# A detail may quote another one in `what`; names, codes and figures are told as they are.
DETAILS: tuple[str, ...] = (
    # Planning.
    mark("no worker is enrolled"),
    mark("the first round is being planned"),
    mark("round {number} is being planned"),
    mark("none"),
    # A statement that does not match its order.
    mark("another partial has the same report id"),
    mark("a partial of this worker counts in this round already"),
    mark("the report carries no statement"),
    mark("no such unit"),
    mark("its runtime image is not one that was voted"),
    mark("the conclusion read another aggregate"),
    mark("its worker is not the one that signed it"),
    mark("its {field} is not the order's"),
    mark("its sandbox level may not see capsules"),
    mark("its noise variances are not those of the voted rules"),
    mark("{output} was voted as {protection}"),
    mark("{have} contributors; {output} was voted for {least} to {most}"),
    mark("{have} capsules; {output} asks for {need}"),
    mark("its sealed share does not go with the voted protection"),
    mark("the report and its partial disagree about a sealed share"),
    mark("the sealed share is not the one that the partial names"),
    # A batch that cannot be opened.
    mark("a report of the batch is gone"),
    mark("a partial of the batch has no sealed seed"),
    # The helper.
    mark("last answer: {code} ({have} of {need})"),
    mark("its refusal does not verify"),
    mark("it refused something else"),
    mark("this scheduler was told of no helper ({request} waits)"),
    mark("the helper has not answered yet"),
    mark("the helper is still at other questions"),
    mark("the helper could not be reached: {what}"),
    mark("the helper's answer has over {bytes} bytes"),
    mark("the helper did not end its answer in {seconds} s"),
    mark("the helper answered {status} {what}"),
    mark("the helper's answer is none: {what}"),
    mark("the helper destroyed another campaign's key"),
    mark("the helper answered with the key of another campaign"),
    mark("the helper's accept list is for another round"),
    mark("the helper accepted reports that it was not given"),
    mark("the helper's {document} does not verify: {what}"),
    mark("the helper's share is for another {field}"),
    # The keyholder and the trustees.
    mark("its refusal is of no use here"),
    mark("this scheduler was told of no keyholder ({request} waits)"),
    mark("the keyholder has not answered yet"),
    mark("the keyholder is still at other questions"),
    mark("the keyholder could not be reached: {what}"),
    mark("the keyholder's answer has over {bytes} bytes"),
    mark("the keyholder did not end its answer in {seconds} s"),
    mark("the keyholder answered {status} {what}"),
    mark("the keyholder's answer is none: {what}"),
    mark("the keyholder's accept list is for another round"),
    mark("the keyholder accepted reports that it was not given"),
    mark("the keyholder's {document} does not verify: {what}"),
    mark("the keyholder asked the trustees about another opening"),
    mark("the keyholder retired another campaign's epoch"),
    mark("what the keyholder opened is for another {field}"),
    mark("a trustee's share does not verify: {what}"),
    mark("a trustee's share was given for another opening"),
    mark("{have} of {need} trustees gave their share for this opening"),
    mark("the campaign's key epoch does not verify any more: {what}"),
    mark("the key epoch does not hold: {what}"),
    mark("the key epoch is for another {field}"),
    mark("the key epoch is over"),
    # Log and disk.
    mark("{document} is not yet proven to be in the log"),
    mark("the batch takes {bytes} bytes, one question has at most {most}"),
    mark("a document that the order rests on cannot be read"),
    mark("a fault of the scheduler itself ({kind}); its log says more"),
)
_FOREIGN = frozenset({"what"})


def detail(text: str) -> Sentence | Foreign:
    """A reason's detail: a sentence of ours, or words in English that are somebody else's."""
    return own(text) or Foreign(text)


@lru_cache(maxsize=1024)
def own(text: str) -> Sentence | None:
    """A detail that the scheduler says itself; None for anybody else's."""
    for said in DETAILS:
        found = pattern(said).fullmatch(text)
        if found is not None:
            values: dict[str, Value] = {
                name: detail(part) if name in _FOREIGN else part
                for name, part in found.groupdict().items()
            }
            return Sentence(said, values)
    return None
