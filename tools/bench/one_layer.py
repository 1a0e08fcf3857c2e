#!/usr/bin/env python3
"""Stands before a persistent evaluator and hides from it which layers come together.

    one_layer.py COMMAND [ARGUMENT...]

So each layer costs a forward pass of its own, with everything else as it is.
"""

import json
import os
import subprocess
import sys


def main() -> int:
    replies = int(os.environ["EVALSWEEP_REPLY_FD"])
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, pass_fds=[replies]) as evaluator:
        os.close(replies)
        for line in sys.stdin:
            request = json.loads(line)
            request["bundle"] = [request["layer"]]
            evaluator.stdin.write(json.dumps(request).encode() + b"\n")
            evaluator.stdin.flush()
    return evaluator.returncode


if __name__ == "__main__":
    sys.exit(main())
