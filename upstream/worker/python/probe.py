# Finds the WSGI app of a project: imports it and looks at it. Runs in the app's own
# Python, 3.8 or newer, as python -c, with a JSON object as its argument, and writes one
# to descriptor 3. Whatever the app prints goes elsewhere.
import ast
import importlib
import inspect
import json
import os
import platform
import sys
import traceback

NAMES = ("application", "app")
FACTORIES = ("create_app", "make_app")
FRAMEWORKS = {"flask": "Flask", "bottle": "Bottle", "falcon": "Falcon", "pyramid": "Pyramid", "django": "Django"}
ASGI = ("fastapi", "starlette", "quart", "channels", "litestar", "blacksheep", "sanic")
LINES = 15


class Failure(Exception):
    """What is wrong with a candidate, by kind; Go makes sentences of it."""

    def __init__(self, kind, **more):
        Exception.__init__(self, kind)
        self.report = dict(more, failed=kind)


def root(kind):
    return (getattr(kind, "__module__", None) or "").partition(".")[0]


def lineage(thing):
    """The packages that the class of a thing and its bases come from."""
    return [root(k) for k in type(thing).__mro__]


def is_asgi(thing):
    kinds = lineage(thing)
    if any(k in ASGI for k in kinds):
        return True
    if any(k.__module__ == "django.core.handlers.asgi" for k in type(thing).__mro__):
        return True
    call = thing if inspect.isroutine(thing) else getattr(type(thing), "__call__", None)
    return inspect.iscoroutinefunction(thing) or inspect.iscoroutinefunction(call)


def is_known(thing):
    """Whether it is the app object of a framework, not a class or a function."""
    return not isinstance(thing, type) and callable(thing) and any(k in FRAMEWORKS for k in lineage(thing)) and not inspect.isroutine(thing) and (
        hasattr(thing, "wsgi_app") or any(k.__name__ in ("WSGIHandler", "Router", "Bottle", "App", "API") for k in type(thing).__mro__)
    )


def call(expression):
    """name, dotted.name or name(literals): the name, and its arguments or None."""
    try:
        tree = ast.parse(expression, mode="eval").body
        if isinstance(tree, ast.Call):
            args = [ast.literal_eval(a) for a in tree.args]
            kwargs = {k.arg: ast.literal_eval(k.value) for k in tree.keywords}
            if None in kwargs:
                raise ValueError
            return tree.func, (args, kwargs)
        return tree, None
    except (SyntaxError, ValueError):
        raise Failure("expression", callable=expression)


def resolve(module, expression):
    tree, args = call(expression)
    path = []
    while isinstance(tree, ast.Attribute):
        path.append(tree.attr)
        tree = tree.value
    if not isinstance(tree, ast.Name):
        raise Failure("expression", callable=expression)
    path.append(tree.id)
    thing = module
    for name in reversed(path):
        try:
            thing = getattr(thing, name)
        except AttributeError:
            raise Failure("missing", callable=expression, names=names(module))
    if args is None:
        return thing
    if not callable(thing):
        raise Failure("not callable", callable=expression, type=type(thing).__name__)
    return made(thing, args, expression)


def made(factory, args, expression):
    try:
        inspect.signature(factory).bind(*args[0], **args[1])
    except TypeError as e:
        raise Failure("arguments", callable=expression, why=str(e))
    except ValueError:
        pass  # it does not tell
    return factory(*args[0], **args[1])


def takes(thing, *args):
    try:
        inspect.signature(thing).bind(*args)
        return True
    except TypeError:
        return False
    except ValueError:  # it does not tell
        return bool(args)


def is_factory(thing, name):
    """Whether a function of which only the name is said is to be called, as Flask does."""
    return inspect.isfunction(thing) and takes(thing) and (name in FACTORIES or not takes(thing, {}, None))


def names(module):
    return sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_") and getattr(v, "__module__", None) == module.__name__)[:12]


def choose(module):
    """The app in a module, of which nothing is said, and what a server calls it."""
    asgi = None
    for name in NAMES:
        thing = getattr(module, name, None)
        if thing is not None and not inspect.ismodule(thing) and callable(thing):
            if not is_asgi(thing):
                return thing, name
            asgi = asgi or name
    if asgi:
        raise Failure("asgi", callable=asgi)
    known = {}
    for name, thing in vars(module).items():
        if not name.startswith("__") and is_known(thing):
            known.setdefault(id(thing), (thing, name))
    if len(known) == 1:
        return next(iter(known.values()))
    if len(known) > 1:
        raise Failure("several", names=sorted(n for _, n in known.values()))
    for name in FACTORIES:
        thing = getattr(module, name, None)
        if inspect.isroutine(thing):
            return made(thing, ((), {}), name + "()"), name + "()"
    raise Failure("none", names=names(module))


def load(candidate):
    """Imports a candidate; returns the module, the app and its name."""
    name = candidate["module"]
    if candidate.get("settings"):
        name, expression = django_app(candidate["settings"])
        candidate["module"], candidate["callable"] = name, expression
    module = importlib.import_module(name)
    where = getattr(module, "__file__", None)
    expected = candidate.get("file")
    if expected and (not where or os.path.realpath(where) != os.path.realpath(expected)):
        raise Failure("elsewhere", file=where or "", expected=expected)
    if candidate.get("callable"):
        expression = candidate["callable"]
        thing = resolve(module, expression)
        if inspect.ismodule(thing) or not callable(thing):
            raise Failure("not callable", callable=expression, type=type(thing).__name__)
        if is_factory(thing, expression):
            thing, expression = made(thing, ((), {}), expression), expression + "()"
    else:
        thing, expression = choose(module)
    if is_asgi(thing):
        raise Failure("asgi", callable=expression)
    if not callable(thing):
        raise Failure("not callable", callable=expression, type=type(thing).__name__)
    return module, thing, expression


def django_app(standard):
    """What settings say of the WSGI app, or what is usual."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", standard)
    named = os.environ["DJANGO_SETTINGS_MODULE"]
    from django.conf import settings

    said = getattr(settings, "WSGI_APPLICATION", None)
    if said and "." in said:
        module, _, name = said.rpartition(".")
        return module, name
    package = named.rpartition(".")[0]
    while package.endswith(".settings"):
        package = package.rpartition(".")[0]
    return (package + ".wsgi" if package else "wsgi"), "application"


def flask_of(thing, module):
    """The Flask app in an app, perhaps behind middleware."""
    for _ in range(6):
        if thing is None:
            break
        if "flask" in lineage(thing) and hasattr(thing, "static_folder"):
            return thing
        inner = getattr(thing, "wsgi_app", None)
        if inner is None:
            inner = getattr(thing, "application", None)
        if inner is None:
            inner = getattr(thing, "app", None)
        thing = getattr(inner, "__self__", inner)  # a method belongs to somebody
    found = {id(v): v for v in vars(module).values() if "flask" in lineage(v) and hasattr(v, "static_folder")}
    return next(iter(found.values())) if len(found) == 1 else None


def version(package):
    try:
        from importlib.metadata import version as of

        return " " + of(package)
    except Exception:
        v = getattr(sys.modules.get(package), "__version__", None)
        return " " + v if isinstance(v, str) else ""


def directory(url, where):
    """A directory that the edge can serve, in a list, or nothing."""
    if not url or not where or "://" in url or url.startswith("//") or "?" in url or "<" in url:
        return []
    url = "/" + url.strip("/") + "/"
    where = os.path.abspath(os.fspath(where))
    if url == "//" or not os.path.isdir(where):
        return []
    return [{"url": url, "dir": where}]


def runserver_static(settings):
    """Whether Django's development server would find the static files itself: with DEBUG,
    where nothing is collected, or was once and is old."""
    apps, middleware = getattr(settings, "INSTALLED_APPS", ()), getattr(settings, "MIDDLEWARE", None) or ()
    url = getattr(settings, "STATIC_URL", None)
    return bool(
        settings.DEBUG and url and "://" not in url and not url.startswith("//")
        and any(app.startswith("django.contrib.staticfiles") for app in apps)
        and not any(name.startswith("whitenoise.") for name in middleware)
    )


def framework(thing, module):
    """Its name and version, its static files, and what serves them around the app."""
    flask = flask_of(thing, module)
    if flask is not None:
        static = []
        if flask.static_folder and not getattr(flask, "static_host", None) and not getattr(flask.url_map, "host_matching", False):
            static = directory(flask.static_url_path, flask.static_folder)
        return "Flask" + version("flask"), static, ""
    conf = sys.modules.get("django.conf")
    if conf is not None and conf.settings.configured:
        import django

        s, name = conf.settings, "Django " + django.get_version()
        if runserver_static(s):
            return name, [], "django.contrib.staticfiles.handlers:StaticFilesHandler"
        return name, directory(getattr(s, "STATIC_URL", None), getattr(s, "STATIC_ROOT", None)), ""
    for package in lineage(thing):
        if package in FRAMEWORKS:
            return FRAMEWORKS[package] + version(package), [], ""
    return "", [], ""


def trimmed(e, seen):
    """Takes our own frames, and those of importing, from an exception and its causes."""
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        tb = e.__traceback__
        while tb is not None and ours(tb.tb_frame.f_code.co_filename):
            tb = tb.tb_next
        e.__traceback__ = tb
        trimmed(e.__cause__, seen)
        e = e.__context__


def ours(file):
    return file in ("<string>", __file__ if "__file__" in globals() else "<string>") or file.startswith("<frozen importlib") or (
        os.path.basename(os.path.dirname(file)) == "importlib"
    )


def raised(e):
    """What is known of an exception of the app."""
    trimmed(e, set())
    lines = [part for text in traceback.format_exception(type(e), e, e.__traceback__) for part in text.rstrip("\n").split("\n")]
    if e.__traceback__ is None and lines and lines[0].startswith("Traceback"):
        lines = lines[1:]
    report = {
        "failed": "raised",
        "type": type(e).__name__,
        "text": " ".join(str(e).split())[:500],
        "traceback": [line[:400] for line in lines[-LINES:]],
    }
    if isinstance(e, ModuleNotFoundError):
        report["name"] = e.name or ""
    if isinstance(e, KeyError):
        frames = traceback.extract_tb(e.__traceback__)
        if frames and os.path.basename(frames[-1].filename) in ("os.py", "<frozen os>") and e.args:
            report["variable"] = str(e.args[0])
    if isinstance(e, SyntaxError):
        report["where"] = "%s:%s" % (e.filename, e.lineno)
    return report


def attempt(candidate):
    try:
        module, thing, expression = load(candidate)
        name, static, wrap = framework(thing, module)
        return {
            "target": candidate["module"] + ":" + expression,
            "framework": name,
            "static": static,
            "wrap": wrap,
            "file": getattr(module, "__file__", None) or "",
        }
    except Failure as e:
        return e.report
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as e:  # SystemExit, too
        return raised(e)


def main(request):
    sys.path[:] = [p for p in sys.path if p != ""]
    sys.path.insert(0, request["cwd"])
    base = list(sys.path)
    tries = []
    for candidate in request["candidates"]:
        sys.path[:] = ([candidate["dir"]] if candidate["dir"] != request["cwd"] else []) + base
        importlib.invalidate_caches()
        report = attempt(candidate)
        report["module"] = candidate["module"]
        report["settings"] = candidate.get("settings") or ""
        tries.append(report)
        if report.get("failed") != "none":
            break
    return {"tries": tries, "version": platform.python_version()}


if __name__ == "__main__":
    out = os.dup(3)
    os.close(3)
    os.set_inheritable(out, False)
    wanted = json.loads(sys.argv[1])
    sys.argv[1:] = []
    answer = json.dumps(main(wanted)).encode()
    while answer:
        answer = answer[os.write(out, answer):]
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(0)  # whatever threads the app has
