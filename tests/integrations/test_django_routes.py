"""Routes as a person writes them."""

import pytest

from agent.integrations.django.routes import readable


@pytest.mark.parametrize(
    ("route", "shown"),
    [
        ("", "/"),
        ("orders/<int:number>/", "/orders/<int:number>/"),
        ("^api/(?P<pk>[0-9]+)/$", "/api/<pk>/"),
        (r"api/v4/search/(?P<search_model_pk>[\.\w]+)/$", "/api/v4/search/<search_model_pk>/"),
        (r"api/dcim/^devices/(?P<pk>[^/.]+)/trace\.(?P<format>[a-z0-9]+)/?$", "/api/dcim/devices/<pk>/trace.<format>/"),
        (r"^(?P<year>(19|20)[0-9]{2})/((?:a|b)[)(\]]+)\Z", "/<year>/<…>"),
        (r"^page(?:/(?P<n>\d+))?/?$", "/page/<n>/"),
        (r"^(?:jobs|tasks)/(?=x)(?!y)\w+/$", r"/<…>/\w/"),
        (r"^set/([]()]+)/([^]x]+)$", "/set/<…>/<…>"),
        (r"^(?i:case)/open(", "/open<…>"),
        ("half/<int:x", "/half/<int:x"),
        ("\\", "/"),
    ],
)
def test_a_regular_expression_is_shown_as_a_path(route, shown):
    assert readable(route) == shown
    assert readable(route) == shown, "as it is kept"
