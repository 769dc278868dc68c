"""Worker of `sft-wizard chat`: JSON lines in on stdin, JSON lines out on stdout.

in   {"source": {…}} once, then {"ask": [messages], "base": bool, …} or {"cancel": true}
out  {"loading": what, "done": n, "total": n}…, {"ready": true, "questions": […]}, {"piece": text, "tokens": n,
     "seconds": s}…, {"done": true, "tokens": n, "seconds": s}, {"error": {code, params}}
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any

from engine.runs.worker import explain

QUESTIONS = 3  # out of the data, that a person is offered


def main() -> None:
    """Serve until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the viewer's: it sends a cancel
    # Libraries print to stdout now and then; the protocol gets a descriptor of its own.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**message: Any) -> None:
        out.write(json.dumps(message, ensure_ascii=False) + "\n")
        out.flush()

    requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
    cancelled = threading.Event()
    source = json.loads(sys.stdin.readline())["source"]
    threading.Thread(target=_read, args=(requests, cancelled), daemon=True).start()
    try:
        tell(loading="libraries", done=0, total=0)
        from engine.chat.questions import from_data
        from engine.chat.session import Session
        from engine.chat.source import ChatSource

        found = ChatSource(**source)
        session = Session(found, lambda what, done, total: tell(loading=what, done=done, total=total))
        tell(ready=True, questions=from_data(found.dataset_dir, found.dataset, QUESTIONS))
        while (request := requests.get()) is not None:
            cancelled.clear()
            messages = request.pop("ask")
            for piece in session.answer(messages, should_stop=cancelled.is_set, **request):
                if piece:
                    tell(piece=piece, tokens=session.tokens, seconds=session.seconds)
            tell(done=True, tokens=session.tokens, seconds=session.seconds)
    except Exception as error:
        traceback.print_exc()
        problems, _ = explain(error)
        tell(error=problems[0].as_dict())
        sys.exit(1)


def _read(requests: queue.Queue[dict[str, Any] | None], cancelled: threading.Event) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "ask" in message:
            requests.put(message)
        else:
            cancelled.set()
    cancelled.set()
    requests.put(None)


if __name__ == "__main__":
    main()
