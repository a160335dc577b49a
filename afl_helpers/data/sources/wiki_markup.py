"""Wiki and HTML markup that was left in plots: what it looks like, and how it is removed."""

import html
import re

_INLINE_TAGS = "b|big|cite|code|del|em|font|i|ins|nowiki|s|small|span|strike|strong|sub|sup|tt|u"
_BLOCK_TAGS = "blockquote|br|center|dd|div|dl|dt|gallery|h[1-6]|hr|li|ol|p|poem|pre|references|table|td|th|tr|ul"
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*);")
# Templates nest a few levels deep; without a limit, crafted braces would take quadratic time.
_TEMPLATE_DEPTH = 40
# A sign, and the patterns to remove, in this order, from texts that hold it; most texts hold none. A pattern that looks
# for an end sign has it as a third entry and is tried only up to the last one: after it, every start sign would be
# followed to the end of the text in vain.
_MARKUP = [
    (
        sign,
        [
            (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement, [re.compile(e, re.IGNORECASE) for e in end])
            for pattern, replacement, *end in patterns
        ],
    )
    for sign, patterns in (
        (
            "<",
            (
                (r"<!--.*?-->", " ", "-->"),
                (r"<ref\b[^<>]*/>", " "),
                (r"<ref\b[^<>{}]*>.*?</ref\s*>", " ", r"</ref\s*>"),
                # A reference without an end: drop the tag, or everything up to the next closing sign.
                (r"<ref\b[^<>{}]{0,300}(?:>|\}\})", " "),
                (r"</ref\s*>", " "),
                (rf"</?(?:{_INLINE_TAGS})(?:\s[^<>]*)?/?>", ""),
                (rf"</?(?:{_BLOCK_TAGS})(?:\s[^<>]*)?/?>", " "),
            ),
        ),
        (
            "[",
            (
                # An image: remove its name and layout, keep its caption.
                (
                    r"\[\[(?:image|file):[^|\[\]]*"
                    r"(?:\|(?:right|left|center|none|thumb|thumbnail|frame|frameless|border|upright|\d+px))*\|?",
                    " ",
                ),
                (r"\[\[[^\[\]|]*\|([^\[\]]*)\]\]", r"\1"),
                (r"\[https?://[^\s\]]*\s*([^\]]*)\]", r"\1", r"\]"),
                # A link without an end: remove the brackets only, because the words may belong to the plot.
                (r"\[\[", ""),
            ),
        ),
        ("]", ((r"\]\]", ""),)),
        ("//", ((r"https?://\S+", " "),)),
        ("{", ((r"\{\{+", " "),)),
        ("}", ((r"\}\}+", " "),)),
        ("''", ((r"'{2,}", ""),)),
        ("=", ((r"={2,}", " "),)),
    )
]


def clean_text(text: str) -> tuple[str, bool]:
    """Remove leftover markup, and turn each run of white space into one space.

    Words are kept when in doubt: the text of a link, the caption of an image, all of a broken template but its braces.

    Returns:
        The cleaned text, and whether it differs from the original.
    """
    cleaned = _without_templates(text) if "{" in text else text
    for sign, patterns in _MARKUP:
        if sign in cleaned:
            for pattern, replacement, end in patterns:
                stop = _last_end(end[0], cleaned) if end else len(cleaned)
                cleaned = pattern.sub(replacement, cleaned[:stop]) + cleaned[stop:]
    if "&" in cleaned:
        cleaned = _ENTITY.sub(lambda match: html.unescape(match[0]), cleaned)
    return " ".join(cleaned.split()), cleaned != text


def _last_end(pattern: re.Pattern[str], text: str) -> int:
    """Return where the last match of a pattern ends; 0 if there is none."""
    return max((match.end() for match in pattern.finditer(text)), default=0)


def _without_templates(text: str) -> str:
    for _ in range(_TEMPLATE_DEPTH):  # templates nest; this removes the inner ones first
        before, text = text, _TEMPLATE.sub(" ", text)
        if text == before:
            break
    return text
