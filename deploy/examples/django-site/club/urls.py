from django.contrib import admin
from django.urls import path

from club import views

urlpatterns = [
    path("", views.index, name="index"),
    path("prices/", views.prices, name="prices"),
    path("items/<int:number>/", views.item, name="item"),
    path("documents/<int:number>/", views.document, name="document"),
    path("reports/<slug:name>/", views.report, name="report"),
    path("admin/", admin.site.urls),
]
