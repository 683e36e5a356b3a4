"""DataChain: `read_storage` with delta processing, the model in a mapper's `setup`, a process a core, saved as a dataset.

As its documentation has it: `delta=True` takes what is new since the dataset's last version, `update=True` lists anew.
"""

import os
from pathlib import Path

from benchmarks import engine


def ingest(images: str, out: str, model: str) -> None:
    """A dataset in DataChain's own SQLite; run again, it takes what is new."""
    Path(out).mkdir(parents=True, exist_ok=True)
    os.environ["DATACHAIN_ROOT_DIR"] = out
    import datachain as dc  # it reads the folder of its database when it is imported

    class Row(dc.DataModel):  # type: ignore[misc]
        path: str
        label: str
        features: list[float]

    def row(file: dc.File, features: engine.Features) -> Row:
        path = file.get_fs_path()
        return Row(path=path, label=engine.label(path), features=features(file.read()).tolist())

    files = dc.read_storage(images, update=True, delta=True, delta_on="file.path", recursive=True)
    rows = files.settings(parallel=os.cpu_count()).setup(features=lambda: engine.Features(model)).map(row=row, output=Row)
    rows.save("features")


if __name__ == "__main__":
    engine.run(ingest)
