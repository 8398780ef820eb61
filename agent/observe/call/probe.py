"""What one monitor puts into one function: the code, with what that code calls and compares with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.errors import CannotPatch
from ...base.interrupts import ours
from ...hook.code import inject, trampoline
from . import repeats
from .terms import OWN_NAMES, SHADOWED_NAMES
from .verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import CodeType, FunctionType

    from ...hook.targets.resolve import Found
    from . import repeats
from .terms import Terms


class Probe(Verdict):
    """One function under one monitor, and the code that has its verdicts made."""

    __slots__ = ("_bare", "_checks", "_features", "_whole")

    def __init__(self, terms: Terms, found: Found, function: FunctionType) -> None:
        super().__init__(terms, found, function)
        check: tuple[int, ...] | None = None
        self._checks = terms.checks_each or (self._tally is not None and self._shared)
        if self._checks or terms.repeats:
            names = self._names
            check = tuple([names.index(name) for name in self._passed or ()])
        leaving: tuple[int, ...] = ()
        if terms.span is not None and self._is_plain:
            self.span = terms.span(self, inject.bound_at_the_end(self._code, self._names))
            leaving = tuple([self._names.index(name) for name in self.span.passed])
        span = self.span is not None
        timed = span or (bool(terms.expressions) and "duration" in self._names_in_expressions())
        counted = ""
        if self._tally is not None and not self._shared:
            looks = terms.thresholds or check is not None or timed
            counted = trampoline.AT_THE_END if looks else self._cheaply
        #: Everything else is left out of the code.
        self._features = trampoline.shared_features(bool(terms.thresholds), check, span, timed, counted, leaving)
        self._whole: Probe | None = None  # what this one is a part of
        self._bare = False

    @property
    def _is_plain(self) -> bool:
        return trampoline.kind_of(self._code) in (trampoline.FUNCTION, trampoline.COROUTINE)

    @property
    def _cheaply(self) -> str:
        """To stop the clock at each yield of a generator would cost more than all else."""
        return trampoline.AT_THE_BEGINNING if self._is_plain else trampoline.WITHOUT_CLOCK

    def reduced(self, *, counts: bool, failures: bool) -> Probe:
        """Of the same monitor, what counts calls at the least cost; the handler of failures; or not even that."""
        from copy import copy  # a budget is exceeded, which few processes see

        made = copy(self)
        made._whole = self.whole
        made._bare = not failures
        counted = self._cheaply if counts and self._tally is not None and not self._shared else ""
        made._features = trampoline.shared_features(False, None, False, False, counted, ())
        return made

    @property
    def misses_calls(self) -> bool:
        """Does it leave calls uncounted that its monitor is to count?"""
        return self._tally is not None and not (self._features.counted or (self._shared and self._whole is None))

    @property
    def whole(self) -> Probe:
        return self._whole or self

    @property
    def features(self) -> trampoline.Features:
        return self.whole._features

    def make(self, original: FunctionType) -> CodeType:
        """The trampoline for `original`. Raises CannotPatch where the interpreter refuses it."""
        try:
            return trampoline.build(original, self._features, self._constants(Verdict.fail))
        except ours(ValueError, TypeError, SyntaxError) as error:
            raise CannotPatch(f"{self.path}: the interpreter refuses its trampoline: {error}") from None

    def inject(self, code: CodeType) -> CodeType | None:
        """`code` with this probe in it, or None where only a trampoline is possible."""
        if self._bare:
            return code.replace()
        made = inject.inject(code, self._features, self._constants(Verdict.fail_inside), self._read_at_the_end())
        # A trampoline would cost each call more than a reduced monitor may, unless it is to count them.
        return code.replace() if made is None and self._whole is not None and not self._features.counted else made

    def _constants(self, fail: Callable[..., None]) -> dict[str, Any]:
        """What the patched function calls and compares with, under the same names in both kinds of patch."""
        terms, features = self.terms, self._features
        values: dict[str, Any] = {"clock": terms.clock, "fail": trampoline.Callback(fail, self)}
        if features.threshold:
            values["slow"] = trampoline.Callback(Verdict.slow, self)
            values["limit"] = terms.lowest
        if features.check is not None:
            values["check"] = trampoline.Callback(Verdict.check if self._checks else repeats.ended, self)
        if features.counted and self._tally is not None:
            values["batch"] = self._tally.batch
            values["count"] = trampoline.Callback(type(self._tally).count, self._tally)
        if features.span and self.span is not None:
            values["enter"], values["leave"] = self.span.enter, self.span.leave
        return values

    def _names_in_expressions(self) -> set[str]:
        return {name for item in self._expressions() for name in item.names}

    def _read_at_the_end(self) -> Collection[str]:
        """Parameters that are read when the call has ended."""
        names: set[str] = set()
        if self.terms.expressions:
            names = {SHADOWED_NAMES.get(name, name) for name in self._names_in_expressions().difference(OWN_NAMES)}
            if names and self._written is not None:
                return self._names
        if self._shared:
            names.update(self._names[:1])
        return names
