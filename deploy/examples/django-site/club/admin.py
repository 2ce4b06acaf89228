from django.contrib import admin

from club.models import Document

admin.site.register(Document)
