"""The answers step of a run: the same questions to the base and to the tuned model."""

from __future__ import annotations

import json
import time

from engine.chat.session import Session
from engine.chat.source import ChatSource
from engine.runs.worker import Work
from engine.storage import write_whole

LONGEST_ANSWER = 96  # tokens: enough to see a difference


def run(work: Work) -> None:
    """Ask work.config["answers"]["questions"]; answers go to events and answers.jsonl in the run folder."""
    spec = work.config["answers"]
    work.phase("answering")
    session = Session(ChatSource(**spec["source"]))
    lines = []
    for number, question in enumerate(spec["questions"]):
        work.progress(number, len(spec["questions"]), "questions")
        messages = [{"role": "user", "content": question}]
        answers = {}
        for voice in ("base", "tuned"):
            work.poll()
            pieces = session.answer(
                messages, base=voice == "base", max_new_tokens=LONGEST_ANSWER, should_stop=work.should_stop
            )
            answers[voice] = "".join(pieces).strip()
        work.poll()
        lines.append({"question": question, **answers, "t": time.time()})
        work.events.write("sample", question=question, **answers)
    file = work.run.path / "answers.jsonl"
    write_whole(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    work.made("answers", file)
