"""Whether a run would find anything new, without planning it."""

import pytest

from raypipe.core.place import Place
from raypipe.data.source.csv import Csv
from raypipe.pipeline.driver import Options
from raypipe.pipeline.news import news
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene
from raypipe.pipeline.run import run
from raypipe.steps.ingest import Ingest


@pytest.fixture
def scene(tmp_path, ledger, store):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("n\n1\n")
    return Scene(Place(tmp_path, ledger.project, ledger.url, store.root), ledger, store)


def pipeline(**settings):
    return Pipeline("shop", source=Ingest(Csv("data"), **settings), transform=None)


def test_what_a_source_has_is_news_until_it_is_taken(scene):
    from raypipe.core.cluster import Debug

    assert news(pipeline(), scene) == {"source": "1 new of 1 files"}
    assert run(pipeline(), scene, Options(cluster=Debug())).state == "done"
    assert news(pipeline(), scene) == {}
    (scene.place.path / "data" / "b.csv").write_text("n\n2\n")
    assert news(pipeline(), scene) == {"source": "1 new of 2 files"}
    assert list(news(pipeline(table="elsewhere"), scene)) == ["source"]


def test_a_file_that_changed_is_news_unless_it_is_ignored(scene):
    from raypipe.core.cluster import Debug

    run(pipeline(), scene, Options(cluster=Debug()))
    (scene.place.path / "data" / "a.csv").write_text("n\n1\n2\n")
    assert list(news(pipeline(), scene)) == list(news(pipeline(changed="replace"), scene)) == ["source"]
    assert news(pipeline(changed="ignore"), scene) == {}
