"""What is private by its form: keys, tokens, credentials and queries of addresses, e-mail addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import SCRUBBED
from .patterns import Patterns
from .quoting import with_replaced

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator


#: Forms of tokens, each with texts of which one is in it: where none of all these is, nothing is searched.
TOKENS = (
    (("eyJ",), r"eyJ[\w-]{8,}(?:\.[\w-]*){0,4}"),
    (("_live_", "_test_"), r"sk_(?:live|test)_\w{4,}|rk_(?:live|test)_\w{4,}|pk_(?:live|test)_\w{4,}"),
    (("whsec_",), r"whsec_[\w+/=]{8,}"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"gh[pousr]_[A-Za-z0-9]{10,}|github_pat_\w{10,}"),
    (("gl", "GR1348941"), r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|soat|imt|agent|oas|ffct)-[\w-]{10,}|GR1348941[\w-]{10,}"),
    (("xox", "xapp-"), r"xox[abeoprsd]-[\w-]{6,}|xoxe\.[\w.-]{6,}|xapp-[\w-]{10,}"),
    (("hooks.slack.com",), r"hooks\.slack\.com/(?:services|workflows)/[\w/-]+"),
    (("KIA", "SIA", "GPA", "IDA", "ROA", "IPA", "NPA", "NVA", "BIA", "CCA"),
     r"A(?:KIA|SIA|GPA|IDA|ROA|IPA|NPA|NVA|BIA|CCA)[A-Z0-9]{12,}"),
    (("AIza", "ya29.", "GOCSPX-"), r"AIza[\w-]{20,}|ya29\.[\w-]{10,}|GOCSPX-[\w-]{10,}"),
    (("SG.", "npm_", "pypi-"), r"SG\.[\w-]{10,}(?:\.[\w-]*)?|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}"),
    (("hf_", "dckr_pat_", "dop_v1_"), r"hf_[A-Za-z0-9]{20,}|dckr_pat_[\w-]{10,}|dop_v1_[0-9a-f]{20,}"),
    (("shp", "sntry"), r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{20,}|sntry[su]_[\w+/=.-]{20,}"),
    (("sk-",), r"sk-[\w-]{16,}"),
)  # fmt: skip
_SIGNS = tuple([sign for signs, _ in TOKENS for sign in signs])
#: Shorter texts hold none.
SHORTEST_TOKEN = 10

_patterns = Patterns(
    key=r"(?s)-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-{4,5} ?END [A-Z0-9 ]{0,60}-{4,5}|\Z)",
    key_end=r"(?s)\A.*?-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10} ?-{4,5}",
    scheme=r"://",
    next_address=r"(?<=\w)://",  # a scheme ends in a letter or digit; without one it is part of a password
    rest=r'[^\s"<>]*',
    # https://host:8000/users/anna@example.com has no password, https://u:8000/x@host:1/ has one.
    port=r"[0-9]{1,5}[/?#]",
    web=r"(?i:https?|wss?)$",
    other_port=r"@[\w.-]{1,253}:[0-9]",
    # Without a scheme: user:password@host
    host=r"(?<![\w.%+-])([A-Za-z_][\w.%+-]{0,99}:)(?!//)([^\s:@\"<>]{1,200})(?=@[\w\[])",
    oracle=r"\b(\w{1,60}/)[^\s@\"']{1,200}@(?=//)",
    curl=r"((?<![\w-])(?:-u|--user|--proxy-user)(?:['\"], ?|[ =])['\"]?[^\s:'\"]{1,100}:)[^\s'\"]{1,200}",
    query=(
        r"(://[^\s?\"'<>]{1,500}\?)(?:[^\s\"'<>#]|(?<=\w)'(?=\w))+"
        r"|(/[^\s?\"'<>]{0,200}\?)[^\s?\"'<>=]{0,200}=(?:[^\s\"'<>]|(?<=\w)'(?=\w))*"
    ),
    basic=(
        r"(?i)\b(bearer(?:[ \t:=+]{1,3}|%20)[\"']?)[^\s\"',;]{6,}"
        r"|\b(basic(?:[ \t:=+]{1,3}|%20)[\"']?)(?-i:(?=[a-z+/_-]{0,200}[A-Z0-9=]))[a-z0-9+/_-]{8,}(?:=|%3d){0,2}"
    ),
    tokens="|".join([form for _, form in TOKENS]),
    address=(
        r"(?:@|\uff20|%40|&#64;|\\u0040)(?:(?:[^\W_][\w-]{0,62}\.){1,8}(?:[^\W\d_]{2,24}|xn--[\w-]{2,58})(?![^\W_])"
        r"|\[[0-9a-fA-F:.IPv]{2,45}\])"
    ),
    local=r"(?:[^\s<>()\[\],;:\"'@/=&?|{}\\]|'(?=\w))+",
)


def without_credentials(text: str) -> str:
    """Without keys, tokens, and the credentials and queries of addresses."""
    if "PRIVATE KEY" in text:
        text = _patterns.key.sub("[key]", text)
        if "PRIVATE KEY" in text:
            text = _patterns.key_end.sub("[key]", text)  # it began before this text does
    if "@" in text or "%40" in text:
        if "://" in text:
            text = with_replaced(text, _address_credentials(text), SCRUBBED)
        if ":" in text:
            text = _patterns.host.sub(_without_password, text)
        if "@//" in text:
            text = _patterns.oracle.sub(rf"\1{SCRUBBED}@", text)
    if "-u" in text:
        text = _patterns.curl.sub(rf"\1{SCRUBBED}", text)
    if "?" in text and "/" in text:
        text = _patterns.query.sub(_keep_lead, text)
    if len(text) >= SHORTEST_TOKEN and any(map(text.__contains__, _SIGNS)):
        text = _patterns.tokens.sub(_token, text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered:
        text = _patterns.basic.sub(lambda found: (found.group(1) or found.group(2)) + "[token]", text)
    return text


def _keep_lead(found: re.Match[str]) -> str:
    return (found.group(1) or found.group(2)) + SCRUBBED


def _without_password(found: re.Match[str]) -> str:
    if _patterns.address.match(found.string, found.end()) and _patterns.local.fullmatch(found.group(2)):
        return found.group()  # an e-mail address, for all that can be seen: that goes whole
    return found.group(1) + SCRUBBED


def _token(found: re.Match[str]) -> str:
    text, start = found.string, found.start()
    if text.startswith("sk-", start) and text[start - 1 : start].isalnum():
        return found.group()  # task-…
    return "[token]"


_LONGEST_ADDRESS = 1_000


def _address_credentials(text: str) -> Iterator[tuple[int, int]]:
    """`://user:…@`: up to the last @ of the address, for unencoded passwords hold any sign."""
    done = 0
    for scheme in _patterns.scheme.finditer(text):
        start = scheme.end()
        if start < done:
            continue
        limit = min(len(text), start + _LONGEST_ADDRESS)
        rest = _patterns.rest.match(text, start, limit)
        end = rest.end() if rest is not None else start
        next_one = _patterns.next_address.search(text, start, end)
        at = text.rfind("@", start, next_one.start() if next_one is not None else end)
        if at < 0:
            at = text.rfind("@", start, end)
        colon = text.find(":", start, at)
        if at < 0 or colon < 0 or any(each in text[start:colon] for each in "/?#'@"):
            continue
        if (
            _patterns.port.match(text, colon + 1)
            and _patterns.web.search(text, max(0, scheme.start() - 5), scheme.start())
            and not _patterns.other_port.match(text, at)
        ):
            continue
        yield colon + 1, at
        done = at


def without_addresses(text: str) -> str:
    """E-mail addresses: found by their @, then read backwards, which stays linear where a pattern would not."""
    return with_replaced(text, _addresses(text), "[email]")


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    done = 0
    for found in _patterns.address.finditer(text):
        at = found.start()
        before = text[max(done, at - 80) : at]
        if before.endswith('"') and before.count('"') > 1:  # "anna svensson"@example.com
            size = len(before) - before.rindex('"', 0, -1)
        else:
            local = _patterns.local.match(before[::-1])
            size = local.end() if local is not None else 0
        if size:
            done = found.end()
            yield at - size, done
