from __future__ import annotations

from django import forms

from sales.models import Customer, Product


class OrderForm(forms.Form):
    """A new order with one line."""

    customer = forms.ModelChoiceField(Customer.objects.none())
    product = forms.ModelChoiceField(Product.objects.none(), to_field_name="code")
    quantity = forms.IntegerField(min_value=1, initial=1)

    def __init__(self, *args, company, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["customer"].queryset = Customer.objects.for_company(company)
        self.fields["product"].queryset = Product.objects.for_sale()
