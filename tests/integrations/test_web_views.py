"""The view inside of its decorators; tests/acceptance/test_decorated_views.py asks frameworks for it."""

import gc
import weakref
from functools import partial
from types import ModuleType

import pytest

from agent.integrations.web import views

#: Decorators of another package than the views', which hide what they decorate.
GUARDS = ModuleType("guards")
exec(
    """
from functools import partial, wraps
def bare(function):
    def wrapper(request, *args, **kwargs): return function(request, *args, **kwargs)
    return wrapper
def anything(function):
    def wrapper(*args, **kwargs): return function(*args, **kwargs)
    return wrapper
def without_parameters(function):
    def wrapper(): return function()
    return wrapper
def with_permission(permission, otherwise):
    def decorator(function):
        def wrapper(request, *args):
            if request: return function(request, *args)
            return otherwise(request)
        return wrapper
    return decorator
def asynchronous(function):
    async def wrapper(request): return await function(request)
    return wrapper
def refuse(request): return "refused"
class AsClass:
    def __init__(self, function): self.function = function
    def __call__(self, request, *args): return self.function(request, *args)
class Updated:
    def __init__(self, function):
        self.__wrapped__ = function
    def __call__(self, *args): return self.__wrapped__(*args)
def keeps(function):
    @wraps(function)
    def wrapper(*args): return function(*args)
    return wrapper
def first_argument(value):
    return lambda function: partial(function, value)
""",
    GUARDS.__dict__,
)


def show(request, number=1):
    return number


def plain():
    return "plain"


async def waits(request):
    return "waits"


def notify(subject):
    return subject


class Orders:
    def get(self, request):
        return "orders"

    @classmethod
    def of_class(cls, request):
        return "class"

    def __call__(self, request):
        return "called"


class Special(Orders):
    pass


def as_view():
    def view(request, *args):
        return view.view_class().get(request)

    view.view_class = Orders
    return view


def made(prefix, send):
    def view(request, **more):
        return send(prefix)

    return view


HERE = __name__


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        (show, "show"),
        (GUARDS.bare(show), "show"),
        (GUARDS.anything(show), "show"),
        (GUARDS.without_parameters(plain), "plain"),
        (GUARDS.with_permission("sales", GUARDS.refuse)(show), "show"),  # of two functions, the one of another module
        (GUARDS.bare(GUARDS.anything(GUARDS.with_permission("sales", GUARDS.refuse)(show))), "show"),
        (GUARDS.keeps(GUARDS.bare(show)), "show"),
        (GUARDS.bare(GUARDS.keeps(show)), "show"),
        (GUARDS.asynchronous(waits), "waits"),
        (GUARDS.AsClass(show), "show"),
        (GUARDS.bare(GUARDS.AsClass(GUARDS.bare(show))), "show"),
        (GUARDS.Updated(show), "show"),
        (partial(show, number=2), "show"),
        (GUARDS.first_argument(5)(GUARDS.bare(show)), "show"),
        (Orders, "Orders"),
        (as_view(), "Orders"),
        (GUARDS.bare(as_view()), "Orders"),
        (Orders(), "Orders"),
        (Special().get, "Special.get"),  # which class serves, and not the one that defines it
        (Special.of_class, "Special.of_class"),
        (GUARDS.anything(Special().get), "Special.get"),
        (made("a", notify), "made.<locals>.view"),  # what it calls is no view: it takes no request
        (None, None),
    ],
)
def test_a_view_is_found_in_its_decorators(endpoint, path):
    for _ in range(2):
        assert views.path_of(endpoint) == (f"{HERE}.{path}" if path else "")


def test_what_may_be_one_of_several_views_is_the_decorators():
    def either(one, other):
        def wrapper(request):
            return one(request) or other(request)

        return wrapper

    found = either(show, lambda request: None)
    assert views.view_of(found) is found


def test_a_circle_and_an_empty_cell_end():
    def circle(request):
        return circle(request)

    circle.__wrapped__ = circle

    def empty(request):
        return later(request)

    if empty is None:
        later = show
    assert views.view_of(circle) is circle
    assert views.view_of(empty) is empty


def test_what_is_bound_for_one_request_is_not_kept_alive():
    handler = Orders()
    views.path_of(handler.get)
    gone = weakref.ref(handler)
    del handler
    gc.collect()
    assert gone() is None


def test_a_function_that_is_made_for_one_request_is_not_kept_alive():
    def endpoint(request):
        return request

    assert views.path_of(endpoint).endswith("<locals>.endpoint")
    gone = weakref.ref(endpoint)
    del endpoint
    gc.collect()
    assert gone() is None


def test_it_is_looked_for_once(monkeypatch):
    view = GUARDS.bare(show)
    views.path_of(view)
    monkeypatch.setattr(views, "view_of", None)
    assert views.path_of(view) == f"{HERE}.show"
