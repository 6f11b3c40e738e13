"""The WSGI app: label-studio-ml's, with its view functions replaced.

Of the library's views, /predict forgets which project asked, /versions refuses Label Studio's GET, /webhook starts a process per event,
errors answer with tracebacks, and two hooks log every body, tokens included. What is kept is its app, its routes and its base class.
The library has one app in a process: the app made last is the one that answers.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from backend import contract
from backend.errors import ContractError
from backend.learning.events import START_TRAINING, Event, read_event
from backend.learning.queue import Check
from backend.learning.versions import listed
from backend.ml_library import init_app
from backend.model import RSISegModel
from backend.project_store import read_extra_params
from backend.runtime import Runtime, make_runtime
from backend.settings import ServerSettings, settings_from
from converters.errors import RSISegError

logger = logging.getLogger(__name__)

# Drafts and annotations travel with every click; beyond this something is wrong.
MAX_BODY = 256 * 1024 * 1024


def application() -> Flask:
    """The app for a WSGI server, set up from the environment alone, such as `gunicorn "backend.app:application()"`."""
    return create_app(settings_from())


def create_app(settings: ServerSettings | None = None, *, runtime: Runtime | None = None) -> Flask:
    """The app. settings: default the environment's. runtime: made elsewhere, as tests and benchmarks do; then `settings` is not used.

    Loads no model, and does not import torch: the first click does, or `Runtime.models`.
    """
    runtime = runtime or make_runtime(settings or settings_from())
    app = init_app(model_class=RSISegModel.serving(runtime))
    _forget_body_logging(app)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    views = Views(app, runtime)
    replacements: dict[str, Callable[[], Any]] = {
        "_predict": views.predict,
        "_setup": views.setup,
        "webhook": views.webhook,
        "health": views.health,
        "metrics": views.metrics,
        "get_version": views.versions,
        "_train": views.gone,
        "_is_training": views.gone,
    }
    missing = replacements.keys() - app.view_functions.keys()
    if missing:
        raise RuntimeError(f"label-studio-ml's app has no view {', '.join(sorted(missing))}; expected version 1.0.9")
    app.view_functions.update(replacements)
    if not any(rule.rule == "/versions" and "GET" in (rule.methods or ()) for rule in app.url_map.iter_rules()):
        app.add_url_rule("/versions", "get_version", methods=["GET"])
    app.before_request_funcs[None] = [views.refuse_strangers]
    app.error_handler_spec.clear()
    # Set directly, as the views are: Flask's registering functions refuse once an app has answered, and a test makes several servers.
    app.error_handler_spec[None][None][Exception] = views.failed
    return app


def _forget_body_logging(app: Flask) -> None:
    app.before_request_funcs.clear()
    app.after_request_funcs.clear()


class Views:
    """What answers each route. No state but the runtime's."""

    def __init__(self, app: Flask, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime
        self._model_class = RSISegModel.serving(runtime)

    def refuse_strangers(self) -> Response | None:
        """Basic auth, where the server was started with it. Label Studio sends no credentials with event webhooks (CONTRACT.md 2)."""
        settings = self._runtime.settings
        if settings.basic_auth_user is None or settings.basic_auth_password is None or request.path == "/webhook":
            return None
        return None if self._knows_password() else _refusal()

    def health(self) -> Response:
        """GET / and /health: this process answers. Says nothing about weights, and never waits for them."""
        return jsonify({"status": "UP", "model_class": "RSISegModel"})

    def setup(self) -> Response:
        """POST /setup: keep the project's settings, name the model's version.

        Settings that cannot be used are refused with the reason in the status line, the only part of an error that Label Studio shows.
        """
        body = request.get_json(silent=True)
        try:
            if not isinstance(body, dict):
                raise ContractError("the body of /setup is no JSON object; expected what Label Studio sends")
            project = str(body.get("project") or "")
            params = read_extra_params(body.get("extra_params"))
            version = self._runtime.prediction_version(params, project)  # raises before anything wrong is kept
            self._runtime.projects.put(project, params)
            self._runtime.warmer.project_opened(project, str(body.get("schema") or ""))
            return jsonify({"model_version": version})
        except RSISegError as error:
            logger.warning("setup of project %s: %s", body.get("project") if isinstance(body, dict) else None, error)
            self._runtime.metrics.failures.labels(type(error).__name__).inc()
            response = jsonify({"error": str(error)})
            response.status = f"400 {_one_line(str(error))}"
            return response

    def predict(self) -> Response:
        """POST /predict: everything it needs comes from this request. 400 only for a body that Label Studio cannot have sent."""
        try:
            body = contract.read_body(request.get_json(silent=True))
        except ContractError as error:
            logger.warning("predict: %s", error)
            self._runtime.metrics.failures.labels(type(error).__name__).inc()
            return _error(str(error), 400)
        model = self._model_class.for_request(body.project, body.label_config)
        entries = model.predict(list(body.tasks), context=body.context)
        return jsonify(contract.body(entries, model_version=self._runtime.known_version(body.project)))

    def versions(self) -> Response:
        """GET /versions: the models whose weights are here, the server's own first, then the versions of all projects.

        The request names no project. Beside them: which version answers in each, and the models that are not here, with what to do.
        """
        own = self._runtime.known_version("")
        here = [own, *(version for version in self._runtime.catalogue.versions() if version != own)]
        projects = listed(self._runtime.versions, self._runtime.catalogue)
        names = [one.name for one in projects]
        current = {str(one.project): one.name for one in projects if one.current}
        return jsonify({"versions": here + names, "current": current, "unavailable": self._runtime.catalogue.unavailable()})

    def webhook(self) -> Response | tuple[Response, int]:
        """POST /webhook: a check of the project is put into the queue of the worker. Nothing trains here, and no body is kept.

        The body carries the user's token, and events come without credentials: all they can do is to have the worker look at Label Studio.
        """
        try:
            event = read_event(request.get_data(cache=False))
        except ContractError as error:
            logger.warning("webhook: %s", error)
            event = Event("other")
        if event.action == START_TRAINING and self._runtime.settings.basic_auth_user is not None and not self._knows_password():
            return _refusal()
        self._runtime.metrics.webhooks.labels(event.action).inc()
        if event.counts and event.project is not None:
            self._runtime.inbox.put(Check(event.project, asked=event.action == START_TRAINING))
        return jsonify({"status": "noted"})

    def metrics(self) -> Response:
        """GET /metrics in Prometheus' text format."""
        self._runtime.count_caches()
        return Response(self._runtime.metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    def gone(self) -> Response:
        """/train and /is_training, which Label Studio no longer calls."""
        return _error("this server trains on its own: POST START_TRAINING to /webhook; see `rsiseg worker`", 404)

    def failed(self, error: Exception) -> Response:
        """Whatever a view did not catch: HTTP errors as JSON, a bug of ours with its traceback in the log and not in the answer."""
        if isinstance(error, HTTPException):
            return _error(error.description or error.name, error.code or 500)
        if isinstance(error, RSISegError):
            logger.warning("%s: %s", request.path, error)
            return _error(str(error), 400)
        logger.error("%s: a bug in this server, please report it", request.path, exc_info=error)
        self._runtime.metrics.failures.labels("unexpected").inc()
        return _error("a bug in this server; the reason is in its log", 500)

    def _knows_password(self) -> bool:
        settings, given = self._runtime.settings, request.authorization
        if given is None or given.type != "basic":
            return False
        user = hmac.compare_digest((given.username or "").encode(), (settings.basic_auth_user or "").encode())
        password = hmac.compare_digest((given.password or "").encode(), (settings.basic_auth_password or "").encode())
        return user and password


def _refusal() -> Response:
    response = _error("user and password are missing or wrong; set them in Label Studio, Settings, Model, Basic Authentication", 401)
    response.headers["WWW-Authenticate"] = 'Basic realm="rsiseg"'
    return response


def _error(reason: str, status: int) -> Response:
    response = jsonify({"error": reason})
    response.status_code = status
    return response


def _one_line(text: str) -> str:
    """Text fit for an HTTP status line: printable ASCII, at most 300 characters."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:300]
