"""Which names are private: what is under `password`, `apiKey` or `card-holder` must not leave.

A name is judged by its words, however they are put together. `is_secret` judges keys and variables; `is_phrase` the
words in front of a colon in running text, where `social security number` is one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Sentry's own word for it, which its server leaves alone.
SCRUBBED = "[Filtered]"

WORDS = frozenset((
    "password", "passwords", "passwd", "passwort", "pwd", "pwds", "passphrase", "passcode", "secret", "secrets",
    "token", "tokens", "authorization", "authorisation", "cookie", "cookies", "csrf", "xsrf", "credential",
    "credentials", "creds", "iban", "ibans", "cvv", "cvc", "cvn", "ccv", "ssn", "ssns", "pin", "pins", "otp", "otps",
    "totp", "jwt", "jwts", "bearer", "apikey", "sessionid", "senha",
))  # fmt: skip
ALONE = frozenset(("auth", "session", "sid", "pass", "psw", "pw", "ccnum", "ccno", "dbpw"))

#: Names of two words, which text may write apart.
COMPOUNDS = frozenset((
    "password", "passphrase", "passcode", "apikey", "accesskey", "privatekey", "privkey", "secretkey", "signingkey",
    "encryptionkey", "masterkey", "accountkey", "sessionid", "sessionkey", "sessiondata", "creditcard", "debitcard",
    "cardnumber", "cardno", "cardnum", "cardnr", "cardholder", "securitycode", "socialsecurity", "socialinsurance",
    "bankaccount", "bankacct", "connectionstring", "connstring", "connstr", "pincode", "ccnumber",
))  # fmt: skip
PARTS = COMPOUNDS | frozenset((
    "passwd", "authorization", "credential", "cookie", "csrf", "xsrf", "sessid", "ibannumber", "passwort", "kennwort",
    "motdepasse", "contraseña", "contrasena", "wachtwoord", "lösenord", "passord", "adgangskode", "salasana", "hasło",
    "dbpass", "userpass", "smtppass", "mailpass", "ftppass", "rootpass", "adminpass", "mysqlpass", "pgpass",
    "storepass", "keypass", "passin", "passout",
)) - {"pincode", "cardno", "cardnum", "cardnr"}  # fmt: skip
ENDS = ("token", "tokens", "pwd", "secret", "secrets", "cardno", "cardnum", "cardnr", "cardnos")

#: What a compound may be followed by and is still that name: card number, session id, bank account no.
_TAILS = ("numbers", "number", "nos", "no", "nr", "num", "code", "id", "name", "value", "s")

#: What a name that is written apart ends in, but for an s.
_PHRASES_END = frozenset(each[-3:] for each in (*COMPOUNDS, *_TAILS))

#: The value of such a name is often more than one word: it reaches to the end of the line.
_WHOLE_LINE = ("passphrase", "connectionstring", "connstring", "connstr", "cookie", "authorization", "authorisation")
#: …or to the next comma, semicolon or bar.
_PHRASES = ("cardholder", "bankaccount", "bankacct", "socialsecurity", "cardnumber", "creditcard", "iban")

#: `TokenError: the link is too old` names a class.
_CLASSES = ("Error", "Exception", "Warning")

#: A text without any of these holds no private name: what each has in common, of one word and of several written apart.
_STEMS = (
    "pass", "secret", "token", "pin", "auth", "session", "cookie", "cred", "pw", "sid", "sess", "otp", "iban", "csrf",
    "xsrf", "cvv", "cvc", "cvn", "ccv", "ccn", "ssn", "jwt", "bearer", "psw", "senha", "kennwort", "contrase",
    "wachtwoord", "lösenord", "adgangskode", "salasana", "hasło", "apikey", "accesskey", "privatekey", "privkey",
    "signingkey", "encryptionkey", "masterkey", "accountkey", "debitcard", "cardn", "cardholder",
    "bankac", "connstr",
)  # fmt: skip
_STEMS_APART = (
    "password", "passphrase", "passcode", "apikey", "accesskey", "privatekey", "privkey", "secretkey", "signingkey",
    "encryptionkey", "masterkey", "accountkey", "card", "securitycode", "social", "bankac",
    "connectionstring", "connstr", "identifiedby",
    "pincode", "sessiondata", "sessionid", "sessionkey", "ccnumber",
)  # fmt: skip
#: A name of letters without any of these is not private.
_STEMS_IN_NAMES = (*_STEMS, "securitycode", "social", "connectionstring")
_NO_LETTERS = {place: None for place in range(128) if not chr(place).isalpha()}
_NOT_IN_WORDS = dict.fromkeys(map(ord, "0123456789_"))

#: What the configuration adds: parts of names that are private.
_more: tuple[str, ...] = ()

_known: dict[str, bool] = {}
MOST = 4_000
LONGEST = 200


def configure(more: Sequence[str]) -> None:
    """`sentry.scrub.names` of the configuration. What was judged before is forgotten."""
    global _more
    _more = tuple("".join(_words(name)) for name in more)
    for forget in forgetful:
        forget()


#: Called by `configure`: whoever remembers what was clean.
forgetful: list[Callable[[], object]] = [_known.clear]


def is_secret(name: str) -> bool:
    """Whether what is under this key is private by its name: snake_case, camelCase, kebab-case, any of them."""
    known = _known.get(name)
    if known is None:
        known = _judge(name[:LONGEST])
        if len(name) <= LONGEST:
            if len(_known) >= MOST:
                _known.clear()
            _known[name] = known
    return known


def sounds_private(text: str) -> bool:
    """Whether there can be a private name in the text: False for nearly all, at a hundredth of the cost of a look."""
    joined = text.lower().replace("_", "").replace("-", "").replace(".", "")
    for stem in _STEMS:
        if stem in joined:
            return True
    if " " in joined or "\t" in joined:
        joined = joined.replace(" ", "").replace("\t", "")
    for stem in _STEMS_APART:
        if stem in joined:
            return True
    return bool(_more) and any(map("".join(_words(text)).__contains__, _more))


def may_name_private(code: str) -> bool:
    """Whether an identifier in the code can be private by its name: False for most code, without a look at each."""
    return bool(_more) or not code.isascii() or _has_stem(code.lower().translate(_NOT_IN_WORDS))


def _has_stem(joined: str) -> bool:
    return any(map(joined.__contains__, _STEMS_IN_NAMES))


def _judge(name: str) -> bool:
    if not _more and name.isascii() and not _has_stem(name.lower().translate(_NO_LETTERS)):
        return False
    words = _words(name)
    joined = "".join(words)
    return (
        any(part in joined for part in _more)
        or not WORDS.isdisjoint(words)
        or not WORDS.isdisjoint([word.rstrip("0123456789") for word in words])
        or joined in ALONE
        or (len(words) > 1 and words[-1] in ("pass", "pw"))
        or joined.endswith(ENDS)
        or any(part in joined for part in PARTS)
        or ("secret" in joined and "secretar" not in joined)
    )


def is_phrase(before: Sequence[str], name: str) -> bool:
    """Whether the words end in a name that is written apart: `Card holder`, `social security no`."""
    joined = name.lower()
    if joined.rstrip("s")[-3:] not in _PHRASES_END and len(joined) > 3:
        return bool(_more) and "".join(_words(" ".join((*before[-1:], name)))) in _more
    for word in reversed(before):
        joined = word.lower() + joined
        for tail in ("", *_TAILS):
            if joined.endswith(tail) and joined[: len(joined) - len(tail)] in COMPOUNDS:
                return True
    return bool(_more) and "".join(_words(" ".join((*before[-1:], name)))) in _more


def is_class(name: str) -> bool:
    return name.endswith(_CLASSES) and name[:1].isupper()


def is_plain_word(name: str) -> bool:
    """Private as a key; in code more often the name of something harmless: `session.execute`, `auth.views`."""
    return "".join(_words(name)) in ALONE


def value_goes_on(name: str) -> str:
    """Up to which characters the value of this name reaches in running text, "" where it is one word."""
    joined = "".join(_words(name))
    if any(part in joined for part in _WHOLE_LINE):
        return "\n"
    return "\n,;|" if any(part in joined for part in _PHRASES) else ""


_patterns = Patterns(word=r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]?(?![a-z])|[A-Z]?[a-z]+|[^\W_A-Za-z0-9]+")


def _words(name: str) -> list[str]:
    if name.islower() and name.isascii() and name.replace("_", "").isalpha():
        return [word for word in name.split("_") if word]
    return [word.lower() for word in _patterns.word.findall(name)]
