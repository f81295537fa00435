#!/usr/bin/env python3
"""Adds Mailkeep's row to an installed harness, once. usage: row.py HARNESS"""
import sys

harness = sys.argv[1]
MARK = " # the product:"
ROW = (
    " 'mailkeep':  dict(setup=f'sh {B}/peers/mailkeep/setup.sh {B}', "
    "cmd=[f'{B}/bin/mailkeep', '--config', f'{B}/run/mailkeep/mailkeep.conf', 'serve'], "
    "smtp=3125, queue=f'{B}/run/mailkeep/data'),\n"
)
# As many messages a run as take some seconds, as for the other peers.
COUNT, COUNTED = "N = dict(", "N = dict(mailkeep=10000, "


def edit(name, wanted, old, new):
    path = f"{harness}/{name}"
    text = open(path).read()
    if wanted in text:
        return
    if old not in text:
        raise SystemExit(f"{path}: no place for {wanted}")
    open(path, "w").write(text.replace(old, new, 1))


edit("bench.py", "'mailkeep':", MARK, ROW + MARK)
edit("w_relay.py", "mailkeep=", COUNT, COUNTED)
