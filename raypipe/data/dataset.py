"""A table's fragments as a Dataset of Ray's: for what works on rows (shuffles, user functions of Datasets, GPUs)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from raypipe.data.fragment.fragment import Fragment, read_row_groups

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

    from raypipe.core.store import Store
    from raypipe.data.where.where import Predicate


def dataset(
    store: Store, fragments: Sequence[Fragment], columns: Sequence[str] | None = None, where: Predicate | None = None
) -> ray.data.Dataset:
    """One read task a fragment, one block a row group; rows keep the table's order where the context says `preserve_order`."""
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    class Fragments(Datasource):
        def estimate_inmemory_data_size(self) -> int:
            return sum(fragment.size for fragment in fragments)

        def get_read_tasks(self, parallelism: int, *args: object, **kwargs: object) -> list[ReadTask]:
            return [ReadTask(partial(_read, store, f, columns, where), _metadata(f)) for f in fragments]

    def _metadata(fragment: Fragment) -> BlockMetadata:
        return BlockMetadata(
            num_rows=None if where else fragment.num_live, size_bytes=fragment.size, input_files=(fragment.path,), exec_stats=None
        )

    return ray.data.read_datasource(Fragments(), override_num_blocks=max(1, len(fragments)))


def _read(store: Store, fragment: Fragment, columns: Sequence[str] | None, where: Predicate | None) -> Iterable[pa.Table]:
    return read_row_groups(store, fragment, columns, where)
