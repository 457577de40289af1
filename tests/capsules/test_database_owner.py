import os
from pathlib import Path

import pytest

from capsule_runtime.database import Database

WORKER = 64123


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_root_makes_in_a_workers_directory_belongs_to_the_worker(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    state.mkdir(0o700)
    os.chown(state, WORKER, WORKER)
    database = Database(
        state / "x.sqlite", application=1, version=1, schema=("CREATE TABLE t (a INTEGER)",)
    )
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    owners = {path.stat().st_uid for path in state.iterdir()}
    database.close()
    assert owners == {WORKER}
