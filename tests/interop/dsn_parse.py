#!/usr/bin/env python3
"""Reads the notices that Mailkeep writes with Python's own mail library.

    dsn_parse.py            writes one notice of each kind and reads them back
    dsn_parse.py FILE...    reads these notices
"""

import email
import email.policy
import pathlib
import quopri
import subprocess
import sys
import tempfile

ACTIONS = {"failed", "delayed", "delivered", "relayed", "expanded"}
ENDS = {"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"}


def check(condition, path, what):
    if not condition:
        sys.exit(f"{path}: {what}")


def read(path):
    raw = path.read_bytes()
    check(raw.isascii(), path, "is not 7-bit")
    check(raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r"), path, "has a bare CR or LF")
    check(max(map(len, raw.split(b"\r\n"))) <= 998, path, "has a line that is too long")
    notice = email.message_from_bytes(raw, policy=email.policy.default)
    check(not notice.defects, path, f"has defects: {notice.defects}")
    check("X-Forged" not in notice, path, "has a field that a remote host wrote")
    check(notice["Auto-Submitted"] == "auto-replied", path, "is not marked as automatic")
    check(notice["Message-ID"].count("<") == 1, path, "has a malformed Message-ID")
    check(notice.get_content_type() == "multipart/report", path, "is not a report")
    parts = notice.get_payload()
    check(len(parts) == 3, path, f"has {len(parts)} parts")
    text, status, original = parts
    check(notice.get_param("report-type") == status.get_content_subtype(), path, "names another report")
    words = text.get_content()
    check("Your message" in words and len(words.splitlines()) > 5, path, "says little to people")
    check(original.get_content_type() in ENDS, path, "ends with something else")

    part = raw.split(b"\r\n--" + notice.get_boundary().encode())[2]
    fields = part.split(b"\r\n\r\n", 1)[1]
    if status["Content-Transfer-Encoding"] == "quoted-printable":
        fields = quopri.decodestring(fields)
    groups = [email.message_from_bytes(group, policy=email.policy.default)
              for group in fields.replace(b"\r\n", b"\n").split(b"\n\n") if group.strip()]
    check(len(groups) == 2, path, f"has {len(groups)} groups of fields")
    message, recipient = groups
    check(message["Reporting-MTA"].startswith("dns;"), path, "has no Reporting-MTA")
    check(message["Original-Envelope-Id"].startswith("QQ314159"), path, "lost the envelope id")
    for group in groups:
        check("X-Forged" not in group, path, "has a field that a remote host wrote")
        check(not group.defects, path, f"has defects: {group.defects}")
    check(recipient["Action"] in ACTIONS, path, f"has the action {recipient['Action']}")
    check(recipient["Status"].count(".") == 2, path, "has no status")
    check("@" in recipient["Final-Recipient"], path, "has no recipient")
    check(recipient["Diagnostic-Code"].startswith("smtp;"), path, "lost the reply")
    check((recipient["Action"] == "delayed") == ("Will-Retry-Until" in recipient), path,
          "does not say until when")
    print(f"ok  {path.name}: {notice['Subject']}")


def main():
    if len(sys.argv) > 1:
        for name in sys.argv[1:]:
            read(pathlib.Path(name))
        return
    with tempfile.TemporaryDirectory() as folder:
        write = ["cargo", "run", "--quiet", "-p", "mailkeep-mail", "--example", "notices", "--", folder]
        subprocess.run(write, check=True)
        notices = sorted(pathlib.Path(folder).glob("*.eml"))
        check(len(notices) == 5, folder, "does not hold five notices")
        for notice in notices:
            read(notice)


if __name__ == "__main__":
    main()
