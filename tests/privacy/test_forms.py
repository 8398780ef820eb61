from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.privacy import forms


@pytest.mark.parametrize(("signs", "form"), forms.TOKENS)
def test_every_token_has_a_sign_by_which_it_is_searched_for(signs, form):
    @settings(max_examples=20, deadline=None, database=None)
    @given(st.from_regex(form, fullmatch=True))
    def check(token):
        assert any(sign in token for sign in signs)
        assert len(token) >= forms.SHORTEST_TOKEN
        assert forms.without_credentials(f"={token}") != f"={token}"

    check()
