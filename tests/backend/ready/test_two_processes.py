"""What one process encoded, another reads: with a real (tiny, random) SAM, whose encoding is nearly all of its work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PROCESS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from harness import Server, config, point
from backend.app import create_app
from backend.runtime import make_runtime
from backend.settings import ServerSettings

files, data, what = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
runtime = make_runtime(ServerSettings(data_dir=data, roots=(files,), model="sam_tiny", device="cpu", precision="fp32"))
server = Server(create_app(runtime=runtime).test_client(), runtime, {}, files)
image = {"image": "small.png"}
if what == "open":
    body = {"tasks": [{"id": 4, "data": image}], "project": "1.1", "label_config": config(), "params": {"context": None}}
    assert server.post("/predict", body).status_code == 200
    assert runtime.warmer.wait(60)
    answers = []
else:
    points = [point(50, 50, size=(240, 160)), point(30, 60, positive=False, size=(240, 160))]
    answers = [server.click(points[:count], data=image)["result"] for count in (1, 2)]
    runtime.sessions.store.flush()
for answer in answers:
    answer[0].pop("id")
counted = {name: server.metric(f'rsiseg_disk_cache_total{{outcome="{name}"}}') for name in ("hit", "miss", "written", "damaged")}
print(json.dumps({"answers": answers, **counted, "bytes": server.metric("rsiseg_disk_cache_bytes")}))
"""


def process(pictures: Path, data: Path, what: str) -> dict[str, Any]:
    command = [sys.executable, "-c", PROCESS, str(Path(__file__).resolve().parents[1]), str(pictures), str(data), what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_click_in_one_process_finds_on_disk_what_another_made_ready_and_has_the_bits_of_its_own(pictures: Path, tmp_path: Path) -> None:
    made = process(pictures, tmp_path / "shared", "open")
    assert (made["hit"], made["miss"], made["written"]) == (0, 1, 1)
    assert made["bytes"] > 8 * 8 * 32 * 4  # the embedding's
    read = process(pictures, tmp_path / "shared", "click")
    assert (read["hit"], read["miss"], read["written"]) == (1, 0, 0)
    alone = process(pictures, tmp_path / "alone", "click")
    assert (alone["hit"], alone["miss"], alone["written"]) == (0, 1, 1)
    assert read["answers"] == alone["answers"]
    assert [len(answer) for answer in read["answers"]] == [1, 1]
