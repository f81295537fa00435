#!/usr/bin/env python3
"""Submits mail with Python's smtplib, by STARTTLS and by TLS from the first octet.

The server's certificate must be of the authority given and for localhost. A wrong password,
and a client that trusts only the system's authorities, must get nowhere. What was sent is
written down for the test to compare.
"""

import argparse
import email.message
import email.policy
import os
import pathlib
import smtplib
import ssl
import sys


def message(way, user):
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail["From"] = f"Ann Lee <{user}>"
    mail["To"] = f"Zoë Müller <{user}>"
    mail["Subject"] = f"by {way}"
    mail["Date"] = "Sun, 22 Nov 2026 12:00:00 +0000"
    mail["Message-ID"] = f"<{way}@smtplib.test>"
    mail.set_content("Grüße\n.\n..\nund ein Punkt.\n")
    mail.add_attachment(bytes(range(256)) * 400, maintype="application", subtype="octet-stream",
                        filename="röntgen.bin")
    return mail.as_bytes()


def session(way, port, context):
    if way == "smtps":
        return smtplib.SMTP_SSL("localhost", port, timeout=20, context=context)
    client = smtplib.SMTP("localhost", port, timeout=20)
    client.ehlo()
    if "auth" in client.esmtp_features:
        sys.exit("AUTH is offered in the clear")
    client.starttls(context=context)
    return client


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ["submission", "smtps"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ["user", "authority", "written"]:
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    trusting = ssl.create_default_context(cafile=options.authority)
    for way, port in [("submission", options.submission), ("smtps", options.smtps)]:
        try:
            session(way, port, ssl.create_default_context())
            sys.exit(f"{way}: an unknown authority was believed")
        except ssl.SSLCertVerificationError:
            pass
        with session(way, port, trusting) as client:
            try:
                client.login(options.user, "wrong")
                sys.exit(f"{way}: a wrong password was taken")
            except smtplib.SMTPAuthenticationError as error:
                if error.smtp_code != 535:
                    sys.exit(f"{way}: {error}")
        with session(way, port, trusting) as client:
            client.login(options.user, os.environ["SMTP_PASSWORD"])
            raw = message(way, options.user)
            refused = client.sendmail(options.user, [options.user], raw, ["BODY=8BITMIME"])
            if refused:
                sys.exit(f"{way}: {refused}")
            pathlib.Path(options.written, way).write_bytes(raw)
        print(f"ok  {way}")


if __name__ == "__main__":
    main()
