#!/usr/bin/env python3
"""Opens listening sockets and starts a program with them, as systemd's socket activation does.

    hand_over.py PORT[,PORT...] WAIT_SECONDS PROGRAM [ARGUMENT...]

The ports are of 127.0.0.1. Clients can connect at once; the program begins WAIT_SECONDS later.
"""

import os
import socket
import sys
import time

FIRST = 3  # SD_LISTEN_FDS_START


def main():
    ports, wait, program = sys.argv[1].split(","), float(sys.argv[2]), sys.argv[3:]
    sockets = []
    for port in ports:
        listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
        sockets.append(listener)
    # Out of the way first, so that no number is overwritten before it is copied.
    spare = [os.dup(s.fileno()) for s in sockets]
    for place, number in enumerate(spare):
        os.dup2(number, FIRST + place, inheritable=True)
    os.environ["LISTEN_FDS"] = str(len(ports))
    os.environ["LISTEN_PID"] = str(os.getpid())
    print("listening", flush=True)
    time.sleep(wait)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
