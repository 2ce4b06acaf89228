class Wrapper:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return [b"<"] + list(self.app(environ, lambda status, headers: start_response(status, []))) + [b">"]
