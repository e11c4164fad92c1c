"""Rows of the report: JSON lines, each appended as soon as it is known."""

import json


class Rows:
    def __init__(self, file):
        self.file = file
        self.group = None

    def add(self, name, batch=None, **facts):
        self._append(name, batch, facts)
        words = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()]
        about = name if batch is None else f"{name}, batch {batch}"
        print(f"   {self.group}: {about}  {'  '.join(words)}"[:240], flush=True)

    def skip(self, name, why, batch=None):
        self.add(name, batch, skipped=str(why)[:600])

    def _append(self, name, batch, facts):
        row = {"part": "peers", "group": self.group, "name": name, **({} if batch is None else {"batch": batch}), **facts}
        with open(self.file, "a", encoding="utf8") as file:
            # JSON has no NaN: a row with NaN is replaced by a row that reports it.
            file.write(json.dumps(row, allow_nan=False) + "\n")
