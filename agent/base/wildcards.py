"""Names and dotted paths against patterns in which * stands for any run of characters.

The run time, the look-up of targets and `processes` mean the same by a pattern; fnmatch would import re into the host.
"""


def segment_match(pattern: str, name: str) -> bool:
    """Does `name` match a pattern in which * stands for any run of characters?"""
    if "*" not in pattern:
        return pattern == name
    head, *middle, tail = pattern.split("*")
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    at = len(head)
    end = len(name) - len(tail)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def matches(pattern: str, path: str) -> bool:
    """Does a dotted path match a dotted pattern, segment by segment?"""
    patterns = pattern.replace(":", ".").split(".")
    names = path.split(".")
    return len(patterns) == len(names) and all(map(segment_match, patterns, names))
