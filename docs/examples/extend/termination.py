"""A termination rule: an option ends with the line that states a result, so lines of mere words join the next one.

python -m experiments.evaluate --option-rule docs.examples.extend.termination:ResultRule --limit 20

A rule that is a regular expression needs no file: --option-rule "regex:[.!?] "
"""

import re

RESULT = re.compile(r"(?:=|####)\s*\S+[^\n]*\n$")


class ResultRule:
    """Ends an option at the first line break after `= …` or `#### …` on the same line."""

    name = "result"
    trigger = "\n"  # a decoder asks only after a token that contains this

    def terminates(self, text: str) -> bool:
        """Returns whether an option that reads `text` ends here."""
        return RESULT.search(text) is not None
