"""Static files with hashed names and, beside them, compressed."""
import gzip

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class CompressedManifestStorage(ManifestStaticFilesStorage):
    """Django's manifest storage; collectstatic also writes NAME.gz."""

    def post_process(self, *args, **kwargs):
        last = {}  # files that name others are hashed more than once
        for name, hashed, processed in super().post_process(*args, **kwargs):
            if processed and not isinstance(processed, Exception):
                last[name] = hashed
            yield name, hashed, processed
        for hashed in last.values():
            self.compress(hashed)

    def compress(self, name):
        if not name.endswith((".css", ".js", ".svg")):
            return
        with self.open(name) as file:
            content = file.read()
        with open(self.path(name) + ".gz", "wb") as file:
            file.write(gzip.compress(content, mtime=0))
