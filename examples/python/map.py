"""A mapper in Python: one JSON object a line in, one a line out.

Nothing but results may go to stdout, one line for each object, flushed at
once: the mapper waits for it. An empty line is no output; a line that begins
with "!" is an error, and makes this object alone a dead letter. What goes to
stderr shows in the mapper's log.
"""

import json
import sys


def work(user: dict) -> dict | None:
    """What is done to an object; replace it by something heavy."""
    if not user["friends"]:
        return None
    return {"id": user["uuid"], "name": f'{user["fn"]} {user["ln"]}', "friends": len(user["friends"])}


for line in sys.stdin:
    try:
        result = work(json.loads(line))
        print("" if result is None else json.dumps(result, ensure_ascii=False), flush=True)
    except Exception as error:  # noqa: BLE001: whatever it is, it concerns one object
        print("!" + repr(error).replace("\n", " "), flush=True)
