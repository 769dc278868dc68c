"""events.jsonl: a viewer must be able to follow any run, whatever is written into it and whoever dies half-way."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from engine.runs.events import MAX_LINE, EventLog, EventReader, read_events


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_an_event_comes_back_as_written(file: Path) -> None:
    EventLog(file, clock=lambda: 12.34567).write("step", step=1, loss=2.5, text="你好 \U0001f680")
    (event,) = read_events(file)
    assert event == {"v": 1, "seq": 0, "t": 12.346, "type": "step", "step": 1, "loss": 2.5, "text": "你好 \U0001f680"}
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 100_000},
        {"text": "你" * 50_000},
        {"text": "\x00" * 50_000},
        {"text": "\ud800" * 50_000},
        {"rows": ["x" * 500] * 500},
        {"rows": list(range(100_000))},
        {"params": {f"key{index}": index for index in range(5000)}},
        {"params": {"a": {"b": {"c": "x" * 9000}}}},
        {f"field{index}": "x" * 900 for index in range(20)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_line_stays_within_4_kib_and_is_json(file: Path, fields: dict[str, object]) -> None:
    """Longer writes are not atomic: two of them could mix, and no reader would get either."""
    log = EventLog(file)
    log.write("log", **fields)
    log.write("next")
    raw = file.read_bytes().splitlines(keepends=True)
    assert [len(line) <= MAX_LINE for line in raw] == [True, True]
    assert [json.loads(line)["seq"] for line in raw] == [0, 1]
    assert json.loads(raw[0]).keys() >= {"v", "t", "type", *fields}


def test_short_fields_beside_a_long_one_stay_whole(file: Path) -> None:
    EventLog(file).write("sample", question="Who are you?", answer="x" * 9000)
    (event,) = read_events(file)
    assert event["question"] == "Who are you?"
    assert event["answer"].endswith("…") and len(event["answer"]) > 1000


def test_numbers_that_json_has_not_become_null(file: Path) -> None:
    EventLog(file).write("step", loss=float("nan"), more=[float("inf"), {"x": -float("inf")}], folder=Path("/a"))
    text = file.read_text()
    assert "NaN" not in text and "Infinity" not in text
    (event,) = read_events(file)
    assert (event["loss"], event["more"], event["folder"]) == (None, [None, {"x": None}], "/a")


def test_half_a_line_is_left_until_it_is_whole(file: Path) -> None:
    EventLog(file).write("one")
    reader = EventReader(file)
    assert [event["type"] for event in reader.poll()] == ["one"]
    with file.open("ab") as stream:
        stream.write('{"v":1,"seq":1,"type":"two","text":"你'.encode()[:-1])
        stream.flush()
        assert reader.poll() == []
        stream.write('你"}\n{"v":1,"seq":2,"type":"three"}\n{"v":1'.encode()[2:])
    assert [event["type"] for event in reader.poll()] == ["two", "three"]
    assert reader.poll() == []


def test_lines_that_are_no_events_are_passed_over(file: Path) -> None:
    file.write_bytes(b'garbage\n\xff\xfe\n[1]\n"x"\n{"no":"type"}\n{"v":9,"seq":4,"type":"later","new":1}\n')
    assert [event["type"] for event in read_events(file)] == ["later"]


def test_a_run_without_events_yet(file: Path) -> None:
    reader = EventReader(file)
    assert reader.poll() == []
    EventLog(file).write("one")
    assert len(reader.poll()) == 1


def test_numbers_go_on_in_the_next_process_of_a_run(file: Path) -> None:
    EventLog(file).write("one")
    EventLog(file).write("two")
    log = EventLog(file)
    log.write("three")
    assert [event["seq"] for event in read_events(file)] == [0, 1, 2]


def test_threads_write_whole_lines_in_order(file: Path) -> None:
    log = EventLog(file)

    def write(name: str) -> None:
        for index in range(300):
            log.write("log", who=name, index=index, text="x" * 300)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = list(read_events(file))
    assert [event["seq"] for event in events] == list(range(600))
    assert all([event["index"] for event in events if event["who"] == name] == list(range(300)) for name in "ab")
