"""The model card of an export: what the model is, how it is loaded, what was measured."""

from collections.abc import Sequence
from typing import NamedTuple

FRONT = """---
library_name: transformers
tags:
- discrete-diffusion
- text-generation
# license: say it before the model is published
---
"""


class Result(NamedTuple):
    """A row of the card, in words."""

    metric: str
    value: str
    text: str
    protocol: str


def card(algorithm: str, causal: bool, facts: dict[str, object], results: Sequence[Result]) -> str:
    """Markdown. `facts` are of the training; those that are None are left out."""
    head = "AutoModelForCausalLM" if causal else "AutoModelForMaskedLM"
    known = "".join(f"| {name} | {value} |\n" for name, value in facts.items() if value is not None)
    measured = "".join(f"| {' | '.join(row)} |\n" for row in results)
    table = "No record of this model was at hand when it was exported.\n"
    if results:
        table = f"| metric | value | text | protocol |\n|---|---:|---|---|\n{measured}"
    return f"""{FRONT}
# A language model of {algorithm}

```python
from transformers import {head}, AutoTokenizer

model = {head}.from_pretrained("FOLDER", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("FOLDER", trust_remote_code=True)
print(tokenizer.batch_decode(model.generate(num_samples=4, seed=1), skip_special_tokens=True))
```

| training | |
|---|---|
{known}
## Measured

{table}"""
