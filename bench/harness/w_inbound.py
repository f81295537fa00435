#!/usr/bin/env python3
"""Mail from outside with every check of its sender: SPF, DKIM (RSA-2048) and DMARC, then on to the sink.
Mailkeep by itself; Postfix with policyd-spf, opendkim and opendmarc. Both also without the checks.
usage: w_inbound.py HARNESS [RUNS]"""
import sys

sys.path.insert(0, sys.argv[1])
from bench import *  # noqa: F403 - the harness is written to be used so
import base64
import socket
import struct

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HERE = f"{B}/run/inbound"
CLIENT = "10.99.0.1"  # neither peer trusts it, and the sender's SPF names it
NAMESERVER = "127.0.0.54"
COUNTS = dict(mailkeep=6000, postfix=800)


def signed_message():
    """A message of about 4 KB and the TXT record of the key that signed it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)
    text = b"".join(b"Line %03d of a letter of some length, as people write them.\r\n" % n for n in range(64))
    message = (b"From: Ann <ann@sender.example>\r\nTo: Bob <bob@dst.test>\r\nSubject: A letter\r\n"
               b"Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <one@sender.example>\r\n"
               b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" + text)
    signature = dkim.sign(message, b"bench", b"sender.example", pem,
                          include_headers=[b"from", b"to", b"subject", b"date", b"message-id"])
    return signature + message, "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()


def name_server(records):
    """Answers TXT and A from `records`; all other names do not exist."""
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    wire.bind((NAMESERVER, 53))
    while True:
        question, asker = wire.recvfrom(4096)
        end, labels = 12, []
        while question[end]:
            labels.append(question[end + 1:end + 1 + question[end]].decode().lower())
            end += question[end] + 1
        kind = struct.unpack("!H", question[end + 1:end + 3])[0]
        name, end = ".".join(labels), end + 5
        data = records.get((name, kind))
        known = any(known == name or known.endswith("." + name) for known, _ in records)
        head = question[:2] + struct.pack("!HHHHH", 0x8580 | (0 if known else 3), 1, int(data is not None), 0, 0)
        answer = b"" if data is None else b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 300, len(data)) + data
        wire.sendto(head + question[12:end] + answer, asker)


def txt(text):
    parts = [text[at:at + 255].encode() for at in range(0, len(text), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts)


def load(port, message, count, recipient):
    """Sends `count` messages over this connection's share, each command waited for; gives how many got 250."""
    content = message.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    done = 0
    while done < count:
        wire = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(CLIENT, 0))
        answers = wire.makefile("rb")

        def said(expected):
            while True:
                line = answers.readline()
                if not line.startswith(expected):
                    raise SystemExit(f"expected {expected}, got {line}")
                if line[3:4] == b" ":
                    return

        said(b"220")
        wire.sendall(b"EHLO client.sender.example\r\n")
        said(b"250")
        for _ in range(min(20, count - done)):
            wire.sendall(b"MAIL FROM:<ann@sender.example>\r\n")
            said(b"250")
            wire.sendall(b"RCPT TO:<%s>\r\n" % recipient)
            said(b"250")
            wire.sendall(b"DATA\r\n")
            said(b"354")
            wire.sendall(content)
            said(b"250")
            done += 1
        wire.sendall(b"QUIT\r\n")
        wire.close()


def in_namespace(*arguments):
    return bg([sys.executable, os.path.abspath(__file__), sys.argv[1], *map(str, arguments)])


def wait(cg, peer, count, connections, tag):
    """Load, server, sink, until the sink has all; one line of results."""
    mb("ctl", "--ctl", "127.0.0.1:2601", "--cmd", "reset")
    before, began = cg.cpu_s(), time.time()
    port = PEERS[peer]["smtp"]
    loads = [in_namespace("load", port, count // connections, "bob@dst.test") for _ in range(connections)]
    for each in loads:
        each.wait(300)
    got = mb("ctl", "--ctl", "127.0.0.1:2601", "--wait", count, "--limit", 60, "--stall", 12)
    reached = got.get("msgs", 0)
    seconds = max(got.get("last_us", 0) / 1e6 - began, 1e-3)
    rec(w=tag, peer=peer, n=count, delivered=reached, deliv=round(reached / seconds, 1),
        cpu_1k=round((cg.cpu_s() - before) * 1000 / max(reached, 1), 3),
        failed=[each.returncode for each in loads if each.returncode])


def results_of(peer, box):
    """The Authentication-Results of a message in the peer's own mailbox: every check has to have passed."""
    in_namespace("load", PEERS[peer]["smtp"], 1, "user0@box.test").wait(60)
    for _ in range(100):
        found = [f"{at}/{name}" for at, _, names in os.walk(box) for name in names if "/new" in at]
        if found:
            head = open(found[0], errors="replace").read().split("\n\n")[0].split("\r\n\r\n")[0]
            missing = [word for word in ("spf=pass", "dkim=pass", "dmarc=pass") if word not in head.lower()]
            if "spf=pass" in missing and "received-spf: pass" in head.lower():
                missing.remove("spf=pass")
            if missing:
                raise SystemExit(f"{peer} did not find {missing}:\n{head}")
            return
        time.sleep(0.1)
    raise SystemExit(f"{peer} did not deliver to {box}")


POSTFIX = """
mynetworks = 127.0.0.0/8
relay_domains = dst.test
smtpd_relay_restrictions = reject_unauth_destination
smtpd_client_connection_rate_limit = 0
"""
CHECKS = f"""
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/spf
smtpd_milters = inet:127.0.0.1:2891, inet:127.0.0.1:2893
milter_default_action = tempfail
"""
FILTERS = f"""
cat > {HERE}/spf.conf <<C
debugLevel = 0
HELO_reject = False
Mail_From_reject = Fail
TempError_Defer = True
C
cat > {HERE}/opendkim.conf <<C
Mode v
Socket inet:2891@127.0.0.1
Nameservers {NAMESERVER}
AlwaysAddARHeader yes
Background no
Syslog no
C
cat > {HERE}/opendmarc.conf <<C
Socket inet:2893@127.0.0.1
AuthservID perf.test
TrustedAuthservIDs perf.test
SPFSelfValidate false
Background no
Syslog no
RejectFailures true
C
cat >> {B}/run/postfix/etc/master.cf <<C
spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf {HERE}/spf.conf
C
"""
SENDER_AUTHENTICATION = "sender-authentication { mode MODE }\ndomain dst.test { deliver-to smtp 127.0.0.1:2600; recipients any }"


def prepare(peer, checked):
    """Gives the environment and the row of a peer with or without its checks."""
    if peer == "mailkeep":
        mode = "enforce" if checked else "off"
        PEERS["mailkeep"]["setup"] = SETUP["mailkeep"]
        return dict(MAILKEEP_TABLES=SENDER_AUTHENTICATION.replace("MODE", mode))
    PEERS["postfix"]["setup"] = SETUP["postfix"] + (f"\n{FILTERS}" if checked else "")
    begin = f"opendkim -f -x {HERE}/opendkim.conf & opendmarc -f -c {HERE}/opendmarc.conf & sleep 1; " if checked else ""
    PEERS["postfix"]["cmd"] = ["sh", "-c", begin + 'exec "$@"', "sh", *COMMAND]
    return dict(POSTFIX_EXTRA=POSTFIX + (CHECKS if checked else ""))


if len(sys.argv) > 3:
    if sys.argv[2] == "names":
        record = open(f"{HERE}/key.txt").read()
        name_server({
            ("sender.example", 16): txt(f"v=spf1 ip4:{CLIENT} -all"),
            ("sender.example", 1): socket.inet_aton(CLIENT),
            ("client.sender.example", 1): socket.inet_aton(CLIENT),
            ("bench._domainkey.sender.example", 16): txt(record),
            ("_dmarc.sender.example", 16): txt("v=DMARC1; p=reject; adkim=s; aspf=s"),
        })
    _, _, _, port, count, recipient = sys.argv
    load(int(port), open(f"{HERE}/message", "rb").read(), int(count), recipient.encode())
    raise SystemExit(0)

runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SETUP = {peer: PEERS[peer]["setup"] for peer in COUNTS}
COMMAND = PEERS["postfix"]["cmd"]
os.makedirs(HERE, exist_ok=True)
content, record = signed_message()
open(f"{HERE}/message", "wb").write(content)
open(f"{HERE}/key.txt", "w").write(record)
ns_up()
dns = sinks()[0]
dns.terminate()
dns.wait()
try:
    in_namespace("names", "-")
    time.sleep(0.5)
    for peer, count in COUNTS.items():
        for checked in (False, True):
            cg = start(peer, env=prepare(peer, checked))
            if checked:
                results_of(peer, f"{B}/run/{peer}/box")
            tag = "inbound" if checked else "inbound, unchecked"
            for run in range(runs):
                wait(cg, peer, count, 8, tag)
            stop(cg)
finally:
    finish()
