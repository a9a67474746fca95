"""Answers rows on a local Ray, kills one of its workers at the first answer, and prints what came of it."""

from __future__ import annotations

import json
import sys

import psutil

import hub_core as hub
from hub_core.cluster import Request, predict_on_ray
from hub_core.examples import Example


def main(count: int) -> None:
    texts = [f"新华社北京{at}日电国务院副总理李岚清今天在中南海会见了芭芭拉" for at in range(count)]
    examples = [Example(text, units=tuple(text)) for text in texts]
    left = count

    def advance(rows: int) -> None:
        nonlocal left
        left -= rows

    found, killed = [], []
    for answer in predict_on_ray(Request("bilstm-ner-zh"), examples, workers=2, progress=advance):
        if not found:
            workers = [p for p in psutil.Process().children(recursive=True) if "_Worker" in " ".join(p.cmdline())]
            workers[0].kill()
            killed = [workers[0].pid, left]
        found.append(answer)
    same = found == hub.Module("bilstm-ner-zh", engine="auto").predict(texts)
    print(json.dumps({"killed": killed, "answers": len(found), "same": same, "left": left}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
