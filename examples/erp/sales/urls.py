from django.urls import path

from sales import views

app_name = "sales"

urlpatterns = [
    path("", views.OrderList.as_view(), name="orders"),
    path("new/", views.OrderCreate.as_view(), name="new"),
    path("<str:number>/", views.OrderDetail.as_view(), name="order"),
    path("<str:number>/margin/", views.order_margin, name="margin"),
    path("<str:number>/confirm/", views.confirm, name="confirm"),
    path("<str:number>/ship/", views.ship, name="ship"),
    path("<str:number>/release/", views.release, name="release"),
]
