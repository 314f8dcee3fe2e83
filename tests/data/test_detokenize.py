"""Detokenizers on sentences in each corpus's own notation."""

import pytest

from data.detokenize import DETOKENIZERS


@pytest.mark.parametrize(
    ("name", "raw", "clean"),
    [
        ("wikitext", " = = = Career = = = \n", " === Career ===\n"),
        ("wikitext", "In 2 @,@ 000 , a well @-@ known 3 @.@ 5", "In 2,000, a well-known 3.5"),
        ("wikitext", 'He said " stop ! " ( twice ) .', 'He said "stop!" (twice) .'),
        (
            "wikitext",
            "the dog 's bone ; N of them : all . So",
            "the dog's bone; 1 of them: all. So",
        ),
        ("wikitext", "at 30 ° C [ sic ] { x }", "at 30°C [sic] {x}"),
        ("ptb", "he did n't pay $ N N million", "he didn't pay $1 1 million"),
        ("ptb", "the firm 's <unk> traders ' pay", "the firm's ? traders' pay"),
        ("ptb", "1 N N N N N x 1\\/2 # N x", "1 1 1 1 1 1 x 1/2 #1 x"),
        ("lm1b", "It 's over , he said . Why ? Ask .", "It's over, he said. Why? Ask."),
        ("lm1b", 'See " the end " ( or [ so ] ) !', 'See "the end" (or [so])!'),
        ("lm1b", "http : / / a.b / c costs $ 5 or £ 6", "http://a.b/c costs $5 or £6"),
        ("lambada", "  “ yes , ” he said\n", '\n" yes , " he said'),
        ("scientific_papers", "a @xmath0 ( see ) . It 's so ?", "a @xmath0 (see). It's so?"),
    ],
)
def test_examples(name: str, raw: str, clean: str) -> None:
    assert DETOKENIZERS[name](raw) == clean


def test_papers_are_wikitext_then_lm1b() -> None:
    raw = '( a ) , " b " = = c = = it \'s N ; d / e ?'
    expected = DETOKENIZERS["lm1b"](DETOKENIZERS["wikitext"](raw))
    assert DETOKENIZERS["scientific_papers"](raw) == expected != DETOKENIZERS["wikitext"](raw)
