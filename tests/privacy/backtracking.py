"""How many steps a pattern takes on a text: a matcher that backtracks as `re` does, and counts.

`re` has no counter, and a clock proves nothing on a machine that others use. Repeats that are bounded are bounded here by
a few, so that what is left of growth is that of the repeats without a bound.
"""

import re

try:
    from re import _parser as parser
except ImportError:
    import sre_parse as parser  # before Python 3.11

FEW = 6
MOST = 100_000
ALPHABET = "a1A_ .-:=/\"'\\,;()[]{}<>|@%&#*+?!$~^`\n\tZé“”»«\u00a0"


class TooManyError(Exception):
    pass


class Counter:
    def __init__(self, pattern):
        self.tree = parser.parse(pattern)
        self.flags = self.tree.state.flags
        self.fitting = {}

    def steps(self, text, searched=True):
        """Steps to find all matches, or to match at the beginning only."""
        self.text, self.taken, self.groups = text, 0, {}
        at = 0
        while at <= len(text):
            end = next(self.sequence(list(self.tree), at, self.flags), None)
            if not searched:
                break
            at = end if end is not None and end > at else at + 1
        return self.taken

    def sequence(self, items, at, flags):
        if not items:
            yield at
            return
        stack = [self._one(items[0], at, flags)]
        while stack:
            end = next(stack[-1], None)
            if end is None:
                stack.pop()
            elif len(stack) == len(items):
                yield end
            else:
                stack.append(self._one(items[len(stack)], end, flags))

    def _one(self, item, at, flags):
        self.taken += 1
        if self.taken > MOST:
            raise TooManyError
        kind, given = str(item[0]), item[1]
        if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            if self._begins(item, at, flags):
                yield at + 1
        elif kind == "BRANCH":
            for each in given[1]:
                if not each or str(each[0][0]) != "LITERAL" or self._begins(each[0], at, flags):
                    yield from self.sequence(list(each), at, flags)
        elif kind == "SUBPATTERN":
            group, more, less, body = given
            for end in self.sequence(list(body), at, (flags | more) & ~less):
                self.groups[group] = self.text[at:end]
                yield end
        elif kind in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, body = given
            if most != parser.MAXREPEAT:
                least, most = min(least, FEW), min(most, FEW)
            repeated = self._greedy if kind == "MAX_REPEAT" else self._lazy
            yield from repeated(list(body), at, flags, min(least, FEW), most)
        elif kind in ("ASSERT", "ASSERT_NOT"):
            direction, body = given
            begin = at if direction > 0 else at - body.getwidth()[0]
            there = begin >= 0 and next(self.sequence(list(body), begin, flags), None) is not None
            if there == (kind == "ASSERT"):
                yield at
        elif kind == "GROUPREF":
            if self.text.startswith(self.groups.get(given, ""), at):
                yield at + len(self.groups.get(given, ""))
        elif kind == "AT":
            if self._stands(str(given), at):
                yield at
        else:
            raise NotImplementedError(kind)

    def _greedy(self, body, at, flags, least, most):
        stack = [(at, self.sequence(body, at, flags))]
        while stack:
            begin, ends = stack[-1]
            end = next(ends, None) if len(stack) <= most else None
            if end is None:
                stack.pop()
                if len(stack) >= least:
                    yield begin
            elif end != begin:
                stack.append((end, self.sequence(body, end, flags)))

    def _lazy(self, body, at, flags, least, most):
        stack = [[at, None]]
        while stack:
            begin, ends = stack[-1]
            if ends is None:
                if len(stack) > least:
                    yield begin
                if len(stack) > most:
                    stack.pop()
                    continue
                ends = stack[-1][1] = self.sequence(body, begin, flags)
            end = next(ends, None)
            if end is None:
                stack.pop()
            elif end != begin:
                stack.append([end, None])

    def _begins(self, item, at, flags):
        return at < len(self.text) and self.fits(item, self.text[at], flags)

    def fits(self, item, sign, flags):
        """Whether this sign is what a part of the pattern stands for that is one sign long."""
        key = (str(item), sign, flags)
        if key not in self.fitting:
            kind, given = str(item[0]), item[1]
            alike = {sign, sign.lower(), sign.upper()} if flags & re.IGNORECASE else {sign}
            if kind == "ANY":
                found = sign != "\n" or bool(flags & re.DOTALL)
            elif kind == "LITERAL":
                found = chr(given) in alike
            elif kind == "NOT_LITERAL":
                found = chr(given) not in alike
            else:
                negated = str(given[0][0]) == "NEGATE"
                found = any(self._in(part, each) for part in given[negated:] for each in alike) != negated
            self.fitting[key] = found
        return self.fitting[key]

    @staticmethod
    def _in(part, sign):
        kind, given = str(part[0]), part[1]
        if kind == "LITERAL":
            return ord(sign) == given
        if kind == "RANGE":
            return given[0] <= ord(sign) <= given[1]
        letter = {"WORD": r"\w", "DIGIT": r"\d", "SPACE": r"\s"}[str(given).rpartition("_")[2]]
        return bool(re.match(letter.upper() if "NOT" in str(given) else letter, sign))

    def _stands(self, where, at):
        text = self.text
        if where in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            return at == 0
        if where == "AT_END_STRING":
            return at == len(text)
        if where == "AT_END":
            return text[at:] in ("", "\n")
        word = [bool(re.match(r"\w", each)) for each in (text[at - 1 : at] if at else "", text[at : at + 1])]
        return (word[0] != word[1]) == (where == "AT_BOUNDARY")

    def pumps(self):
        """(beginning, what comes again and again) for each repeat without a bound: its body, and the way to it and its body."""
        found = set()
        for choice in range(2):
            self._pumps(list(self.tree), "", choice, found)
        return sorted((start, body) for start, body in found if body)

    def _pumps(self, items, before, choice, found):
        for item in items:
            kind, given = str(item[0]), item[1]
            if kind in ("MAX_REPEAT", "MIN_REPEAT"):
                if given[1] == parser.MAXREPEAT:
                    bodies = list(given[2])
                    bodies = bodies[0][1][1] if len(bodies) == 1 and str(bodies[0][0]) == "BRANCH" else [bodies]
                    for each in bodies:
                        body = self.example(list(each), choice)
                        found.update(((before, body), ("", before + body)))
                self._pumps(list(given[2]), before, choice, found)
            elif kind == "SUBPATTERN":
                self._pumps(list(given[3]), before, choice, found)
            elif kind == "BRANCH":
                for each in given[1]:
                    self._pumps(list(each), before, choice, found)
            before += self.example([item], choice)

    def example(self, items, choice):
        """A text that these parts of the pattern match, but for what they assert."""
        return "".join(self._example(str(item[0]), item, choice) for item in items)

    def _example(self, kind, item, choice):
        given = item[1]
        if kind == "LITERAL":
            return chr(given)
        if kind in ("NOT_LITERAL", "ANY", "IN"):
            fitting = [each for each in ALPHABET if self.fits(item, each, self.flags)]
            return fitting[choice % len(fitting)] if fitting else ""
        if kind == "BRANCH":
            return self.example(list(given[1][choice % len(given[1])]), choice)
        if kind == "SUBPATTERN":
            return self.example(list(given[3]), choice)
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            return self.example(list(given[2]), choice) * max(1, min(given[0], FEW))
        return ""
