"""serve: an endpoint that follows what is deployed, until it is told to stop."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from raypipe.core.cluster import Attach, Local, connect
from raypipe.core.errors import ConfigError, RaypipeError, nearest
from raypipe.core.lease import Heartbeat
from raypipe.core.released import require
from raypipe.pipeline.plan import Scene, open_scene
from raypipe.registry.endpoints import endpoint, endpoints


def serve(options: argparse.Namespace) -> int:
    """Serves the model's desired state on one port; exit code 130 or 143 after a signal."""
    from raypipe.serve.deploy import check_port
    from raypipe.serve.run import Stop
    from raypipe.serve.run import serve as serve_model

    scene = open_scene()
    name = _name(scene, options.model)
    check_port(options.host, options.port)
    url = f"http://{options.host}:{options.port}"
    cluster: Any = Attach(options.address) if options.address else Local()
    stop = Stop()
    with _leased(scene, name, url) as heartbeat, connect(cluster, scene.place.path, warm=False):

        def wanted() -> Any:
            try:
                heartbeat.check()
            except RaypipeError:
                stop()
                raise
            return _desired(scene, name)

        number = serve_model(wanted, port=options.port, host=options.host, report=lambda text: _say(options, text), stop_=stop)
    _say(options, f"{name} is not served any more")
    return 128 + number if number else 0


def _name(scene: Scene, name: str | None) -> str:
    known = [e.name for e in endpoints(scene.ledger)]
    if name is None and len(known) == 1:
        return known[0]
    if name is None:
        raise ConfigError(
            f"which model? Deployed are: {', '.join(known)}." if known else "no model is deployed yet: `raypipe run` deploys one."
        )
    if name not in known:
        raise ConfigError(f"no model '{name}' is deployed.{nearest(name, known)}")
    return name


def _desired(scene: Scene, name: str) -> Any:
    from raypipe.registry.versions import resolve
    from raypipe.serve.desired import Desired, Limits

    row = endpoint(scene.ledger, name)
    if row is None:
        return None
    model = resolve(scene.ledger, f"{name}@{row.version}")[1]
    require(scene.ledger, scene.store, model, f"model {name}@{row.version}")
    settings = dict(row.settings)
    limits = Limits(**settings.pop("limits", {}))
    return Desired(name, row.version, scene.store.root, model, limits=limits, **settings)


@contextlib.contextmanager
def _leased(scene: Scene, name: str, url: str) -> Iterator[Heartbeat]:
    """One process serves a model; whoever asks the ledger learns where. A second one is told who does."""
    try:
        lease = scene.ledger.claim(f"serve:{name}", url)
    except RaypipeError:
        holder = scene.ledger.holder(f"serve:{name}")
        raise ConfigError(f"{name} is served already at {holder[0] if holder else 'another address'}; end that process first.") from None
    with Heartbeat(scene.ledger, lease) as heartbeat:
        try:
            yield heartbeat
        finally:
            scene.ledger.release(lease)


def _say(options: argparse.Namespace, text: str) -> None:
    print(json.dumps({"event": text}) if options.json else text, flush=True)
