"""A hub on this machine, with one dataset repository: files are listed, read, and committed."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug import Request, Response
from wsgi_server import served

REPOSITORY = "somebody/measurements"
_API = f"/api/datasets/{REPOSITORY}/"
_FILES = f"/datasets/{REPOSITORY}/resolve/"


class Hub:
    """A WSGI application; every commit is on its one branch, and knows the files of its time."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._lock = threading.Lock()
        self._commits: list[dict[str, bytes]] = [{}]

    @property
    def files(self) -> dict[str, bytes]:
        """Path -> content, after the last commit."""
        return self._commits[-1]

    @property
    def commits(self) -> int:
        """How many there are beside the empty one."""
        return len(self._commits) - 1

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        with self._lock:
            return self._answer(Request(environ))(environ, start)

    def _answer(self, request: Request) -> Response:
        path = request.path
        if path.startswith(_FILES):
            return self._content(path.removeprefix(_FILES), request)
        if not f"{path}/".startswith(_API):
            return self._missing("RepoNotFound")
        what, _, rest = f"{path}/".removeprefix(_API).rstrip("/").partition("/")
        if what in ("", "revision"):
            return self._json({"id": REPOSITORY, "sha": self._name(), "siblings": []})
        if what == "tree":
            return self._tree(*self._at(rest))
        if what == "paths-info":
            files, _ = self._at(rest)
            asked = request.form.getlist("paths") or request.get_json()["paths"]
            return self._json(list(filter(None, (self._entry(files, one) for one in asked))))
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return Response("nobody may write here", 401)
        if what == "preupload":
            told = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in request.get_json(force=True)["files"]
            ]
            return self._json({"files": told})
        assert what == "commit", path
        return self._commit(request)

    def _commit(self, request: Request) -> Response:
        files = dict(self.files)
        for said in map(json.loads, request.get_data().splitlines()):
            value = said["value"]
            if said["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "deletedFile":
                del files[value["path"]]
            else:
                assert said["key"] == "header", said
        self._commits.append(files)
        url = f"{request.host_url}datasets/{REPOSITORY}/commit/{self._name()}"
        return self._json({"commitUrl": url, "commitOid": self._name()})

    def _content(self, rest: str, request: Request) -> Response:
        files, path = self._at(rest)
        if path not in files:
            return self._missing("EntryNotFound")
        answer = Response(files[path], headers={"X-Repo-Commit": self._name()})
        return answer.make_conditional(
            request, accept_ranges=True, complete_length=len(files[path])
        )

    def _tree(self, files: dict[str, bytes], folder: str) -> Response:
        inside = f"{folder}/" if folder else ""
        found = [self._entry(files, path) for path in files if path.startswith(inside)]
        return self._json(found) if found else self._missing("EntryNotFound")

    def _at(self, rest: str) -> tuple[dict[str, bytes], str]:
        """Files of a revision, which comes before the path."""
        revision, _, path = rest.partition("/")
        names = [self._name(at) for at in range(len(self._commits))]
        return self._commits[names.index(revision) if revision in names else -1], path

    def _name(self, at: int | None = None) -> str:
        number = self.commits if at is None else at
        return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()

    @staticmethod
    def _entry(files: dict[str, bytes], path: str) -> dict[str, Any] | None:
        if path in files:
            digest = hashlib.sha1(files[path], usedforsecurity=False).hexdigest()
            return {"type": "file", "path": path, "size": len(files[path]), "oid": digest}
        if any(one.startswith(f"{path}/") for one in files):
            return {"type": "directory", "path": path, "oid": "0" * 40}
        return None

    @staticmethod
    def _json(value: object) -> Response:
        return Response(json.dumps(value), mimetype="application/json")

    @staticmethod
    def _missing(code: str) -> Response:
        return Response("not there", 404, headers={"X-Error-Code": code})


@contextmanager
def hub_server(token: str) -> Iterator[tuple[str, Hub]]:
    """Address of a hub whose one repository is empty, and the hub."""
    hub = Hub(token)
    with served(hub) as address:
        yield address, hub
