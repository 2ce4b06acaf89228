from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.core.management.base import BaseCommand

from club.models import Document


class Command(BaseCommand):
    help = "Makes the database, the static files, two users and a document"

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        if not User.objects.exists():
            User.objects.create_superuser("admin", "admin@shop.localhost", "admin")
            User.objects.create_user("guest", "guest@shop.localhost", "guest", is_staff=True)
            Document(title="House rules").file.save("house rules.txt", ContentFile(b"Be kind.\n" * 1000))
        reports = settings.VAR / "reports"
        reports.mkdir(exist_ok=True)
        (reports / "march.csv").write_text("day,visitors\n1,12\n2,40\n")
        self.stdout.write("admin (password admin) may see documents, guest (guest) may not")
