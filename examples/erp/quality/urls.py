from django.urls import path

from quality import views

app_name = "quality"

urlpatterns = [
    path("", views.InspectionList.as_view(), name="inspections"),
    path("<str:number>/", views.InspectionDetail.as_view(), name="inspection"),
]
