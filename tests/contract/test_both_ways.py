"""What our scaffold writes is LLaMA-Factory's too: its keys always, and LLaMA-Factory itself where it is installed.

LLAMAFACTORY_PYTHON names the Python that has llamafactory 0.9.5; without it that part is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml

from engine.config.jobs import load_job
from engine.data.prepare import data_files, prepare
from tests.e2e.tool import environment, sft

pytestmark = pytest.mark.usefixtures("private_home")
NEWEST = ("llamafactory 0.9.5", "transformers 5.6.0")  # what reads the files
PEER = os.environ.get("LLAMAFACTORY_PYTHON")
LOAD = """
import json, sys
from omegaconf import OmegaConf
from llamafactory.train.test_utils import load_dataset_module
config = OmegaConf.to_container(OmegaConf.load(sys.argv[1]))
rows = load_dataset_module(**config)["train_dataset"]
print(json.dumps([[list(row["input_ids"]), list(row["labels"])] for row in rows]))
"""


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path) -> Path:
    rows = "".join(f'"what is {i}?","the answer, {i}"\n' for i in range(8))
    (tmp_path / "mine.csv").write_text(f"question,answer\n{rows}")
    made = sft("new", "proj", "--data", "mine.csv", "--model", tiny_model, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    ready = sft("--replay", "proj/config.yaml", "--dry-run", cwd=tmp_path)  # converts the table
    assert ready.returncode == 0, ready.stderr
    return tmp_path / "proj"


def test_the_scaffold_writes_no_key_of_our_own(project: Path) -> None:
    """Each key of the written configs is one that LLaMA-Factory 0.9.5 knows; a stranger would stop it."""
    recorded = (Path(__file__).parent / "data" / "llamafactory_keys.tsv").read_text(encoding="utf-8").splitlines()[1:]
    known = {row[0] for row in (line.split("\t") for line in recorded) if row[3] in NEWEST}
    for name in ("train_config.yaml", "merge_config.yaml"):
        written = yaml.safe_load((project / "configs" / name).read_text(encoding="utf-8"))
        assert written.keys() <= known, name


@pytest.mark.skipif(PEER is None, reason="LLAMAFACTORY_PYTHON is not set")
def test_llamafactory_makes_the_same_tokens_of_the_scaffold(project: Path) -> None:
    """It loads the files as they stand, and every id and label is the one that we train on."""
    assert PEER
    done = subprocess.run(
        [PEER, "-c", LOAD, "configs/train_config.yaml"],
        cwd=project, env={**environment(), "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    job = load_job(project / "configs/train_config.yaml", cwd=project)
    assert job.train is not None
    config = msgspec.structs.replace(job.train.config, overwrite_cache=True)
    prepared = prepare(
        config,
        Path(config.model_name_or_path),
        hashes=data_files(config),
        progress=lambda done, total: None,
        should_stop=lambda: False,
    )
    ours = [[part.tolist() for part in prepared.train.row(index)] for index in range(len(prepared.train))]
    assert ours == theirs
