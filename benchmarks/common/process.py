"""What benchmarks share: a measurement in a process of its own, and the memory of a process."""

import json
import os
import subprocess
import sys
from pathlib import Path


def in_a_process(script: str, *arguments: object, **environment: str) -> object:
    """Run a script and return what the last line that it prints says in JSON; what it writes to stderr is shown."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    return json.loads(done.stdout.splitlines()[-1])


def memory(name: str) -> int:
    """Bytes of this process, and not of its parent: now (VmRSS), at most (VmHWM), or asked for (VmData); Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
