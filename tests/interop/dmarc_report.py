#!/usr/bin/env python3
"""Reads a message with an aggregate report as RFC 7489 section 7.2.1.1 describes it, and prints the report.

    dmarc_report.py MESSAGE

Fails unless subject, file name, media type, packing and the report itself agree.
"""

import email
import email.policy
import gzip
import re
import sys
from xml.etree import ElementTree


def check(is_so, what):
    if not is_so:
        sys.exit(f"dmarc_report: {what}")


def main():
    with open(sys.argv[1], "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    check(not message.defects, f"the message has defects: {message.defects}")
    subject = re.fullmatch(
        r"Report [Dd]omain: (\S+) Submitter: (\S+) Report-ID: (\S+)", message["Subject"].strip())
    check(subject, f"the subject is {message['Subject']!r}")
    packed = [part for part in message.walk() if part.get_content_type() == "application/gzip"]
    check(len(packed) == 1, f"it has {len(packed)} parts of application/gzip")
    name = packed[0].get_filename() or ""
    file_name = re.fullmatch(r"([^!]+)!([^!]+)!(\d+)!(\d+)(![^!.]+)?\.xml\.gz", name)
    check(file_name, f"the file is named {name!r}")
    text = gzip.decompress(packed[0].get_payload(decode=True))
    report = ElementTree.fromstring(text)
    domain, submitter, identifier = subject.groups()
    check((submitter, domain) == file_name.group(1, 2), "subject and file name disagree")
    check(report.findtext("policy_published/domain") == domain, "it is about another domain")
    check(identifier.strip("<>") == report.findtext("report_metadata/report_id"), "another Report-ID")
    for at, end in ((3, "begin"), (4, "end")):
        told = report.findtext(f"report_metadata/date_range/{end}")
        check(told == file_name.group(at), f"the file's name says {file_name.group(at)}, not {told}")
    sys.stdout.buffer.write(text)


if __name__ == "__main__":
    main()
