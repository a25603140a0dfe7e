"""Where the servers of a test run are, and how they end with it."""

import uuid
from pathlib import Path

# Short, for the socket's path, and outside pytest's folders, which only their owner may enter:
# as root the servers run as another user.
SERVERS = Path("/tmp") / f"aircan-tests-{uuid.uuid4().hex[:8]}"

# What is in these databases need not survive a power failure.
UNSAFE = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")

# Waits for the end of the test run, however it ends (its standard input closes), and then ends
# every server below the folder and removes the folder.
REAPER = """
read -r _
for file in $(find "$1" -name postmaster.pid); do
    pid=$(head -n 1 "$file")
    kill -QUIT "$pid"
    for _ in $(seq 100); do [ -e "$file" ] && sleep 0.05 || break; done
done
rm -rf "$1"
"""
