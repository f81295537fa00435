#!/usr/bin/python3
"""What Python's dkim says of the ARC chain of a message.

    arc_verify.py MESSAGE KEYS

KEYS holds lines `NAME RECORD`, which stand for DNS. Prints `pass`, `fail` or `none`, then each set's result.
Run it by the interpreter that Debian's python3-dkim is for.
"""

import sys

import dkim


def main():
    with open(sys.argv[2], encoding="ascii") as lines:
        keys = dict(line.rstrip("\n").split(" ", 1) for line in lines)

    def dns(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        return keys.get(name.rstrip("."), "").encode()

    with open(sys.argv[1], "rb") as file:
        chain, results, reason = dkim.arc_verify(file.read(), dnsfunc=dns)
    print((chain or b"none").decode())
    print(reason)
    for result in results:
        print(result)


if __name__ == "__main__":
    main()
