import flask


def create_app():
    app = flask.Flask(__name__)

    @app.route("/hello")
    def hello():
        return "hello %s at %s" % (flask.request.args["name"], flask.request.url)

    @app.route("/stream")
    def stream():
        return flask.Response((str(n) for n in range(10)), mimetype="text/plain")

    @app.route("/file")
    def file():
        return flask.send_file(__file__)

    @app.route("/form", methods=["POST"])
    def form():
        return "a=%s b=%d" % (flask.request.form["a"], len(flask.request.form["b"]))

    return app
