#!/usr/bin/env python3
"""What only Mailkeep is asked: access rules by table size, evidence and log on and off, and whether
kill -9 loses what was answered with 250.
usage: w_mailkeep.py HARNESS rules|evidence|log|kill [RUNS]"""
import sys

sys.path.insert(0, sys.argv[1])
from bench import *  # noqa: F403 - the harness is written to be used so
import random

what = sys.argv[2]
runs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
PEER = "mailkeep"
TLS = dict(tls="starttls", ctl=2611)


def flood(kind, entries, count=20_000):
    """RCPT after RCPT, all refused, so that nothing is queued and the rules are what is left."""
    cg = start(PEER)
    to = f'127.0.0.1:{PEERS[PEER]["smtp"]}'
    ask = ["rcpt", "--to", to, "--rcpt", "user%@nowhere.example", "--rcpt-mod", 1000, "--conc", 1, "--threads", 1]
    mb(*ask, "--n", 1000, "--per-conn", 500)
    for _ in range(runs):
        c0 = cg.cpu_s()
        r = mb(*ask, "--n", count, "--per-conn", 500)
        rec(w="H", peer=PEER, kind=kind, n=entries, rcpt_s=r.get("rate"),
            us_rcpt=round(1e6 / max(r.get("rate", 1), 0.1), 1),
            cpu_us_rcpt=round((cg.cpu_s() - c0) * 1e6 / count, 1),
            codes=r.get("codes"), first=r.get("first"), pss_mb=round(cg.pss() / 1e6, 1), ready_ms=round(cg.ready_ms))
    stop(cg)


def rules():
    random.seed(7)
    path = f"{B}/run/tables"
    os.makedirs(path, exist_ok=True)
    refuse_all = "rule refuse_all { when all { recipient domain is nowhere.example }; reject }"
    for entries in (0, 10, 1_000, 10_000, 100_000):
        nets = set()
        while len(nets) < entries:
            nets.add(f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(0, 256, 16)}/28")
        open(f"{path}/mailkeep-networks", "w").write("".join(f"{n}\n" for n in sorted(nets)))
        open(f"{path}/mailkeep-domains", "w").write("".join(f"d{i}.example\n" for i in range(entries)))
        for kind, fact in (("networks", "client ip"), ("domains", "recipient domain")):
            if not entries and kind != "networks":
                continue
            rule = f"rule listed {{ when all {{ {fact} in table listed }}; reject }}\n" if entries else ""
            os.environ["MAILKEEP_RULES"] = rule + refuse_all
            os.environ["MAILKEEP_TABLES"] = f"table listed {kind} file {path}/mailkeep-{kind}" if entries else ""
            flood(kind, entries)


def variants(name, values):
    for _ in range(runs):
        for value in values:
            os.environ[name] = os.environ["VARIANT"] = value
            os.environ["LABEL"] = f"{PEER} {what} {value}"
            cg = start(PEER)
            relay(cg, PEER, "dst", 1000, 4096, 20, tag="warm")
            relay(cg, PEER, "dst", 10_000, 4096, 20, tag="V", per_conn=20)
            stop(cg)


def kill():
    """kill -9 in the middle of A: what was answered with 250 must reach the sink after a restart."""
    for run in range(runs):
        cg = start(PEER)
        mb("ctl", "--ctl", "127.0.0.1:2601", "--cmd", "reset")
        load = bg([MB, "smtp", "--to", f'127.0.0.1:{PEERS[PEER]["smtp"]}', "--rcpt", "user%@dst.test", "--rcpt-mod", "20",
                   "--n", "100000", "--conc", "20", "--size", "4096", "--per-conn", "20", "--secs", "6", "--threads", "1"])
        time.sleep(1.5 + random.random())
        for pid in cg.pids():
            os.kill(pid, signal.SIGKILL)
        cg.h.wait()
        said = load.communicate(timeout=60)[0].strip()
        answered = json.loads(said.splitlines()[-1])["ok"]
        cg = start(PEER, setup=False)
        got = mb("ctl", "--ctl", "127.0.0.1:2601", "--wait", answered, "--limit", 60, "--stall", 12).get("msgs", 0)
        rec(w="kill", peer=PEER, run=run, answered=answered, reached_the_sink=got, lost=max(answered - got, 0), restart_ms=round(cg.ready_ms))
        stop(cg)


ns_up()
sinks()
try:
    if what == "rules":
        rules()
    elif what == "evidence":
        variants("MAILKEEP_EVIDENCE", ["on", "off"])
    elif what == "log":
        variants("MAILKEEP_LOG", ["info", "warn"])
    elif what == "kill":
        kill()
    else:
        raise SystemExit(__doc__)
finally:
    finish()
