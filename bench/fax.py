#!/usr/bin/env python3
"""Fax pages beside Ghostscript and pdftoppm, and a burst of faxes through the whole server.

    bench/fax.py MAILKEEP [RUNS]

MAILKEEP is a release binary. The documents are made here: text, text with pictures, and scans (JPEG and
G4). Each program draws each document RUNS times in turns, fine resolution (204 x 196 dots an inch), one
thread; what counts is the processor time of the whole child process, as the kernel has it. Mailkeep's is
its locked-up drawing process: it reads the mail, decodes base64, draws, dithers, packs and writes; the
header line is drawn too. Needs ghostscript, poppler-utils and libtiff-tools."""
import base64
import json
import os
import re
import shutil
import smtplib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

RESOLUTION = ["-r204x196"]
FIELDS = {"number": "+12025550123", "from_number": "+12025550199", "organisation": "Clinic of Example",
          "date": "2026-11-23 10:00 UTC"}
TEXT = """
/line (The quick brown fox jumps over the lazy dog, and the report goes on for a while. ) def
/text { /Times-Roman findfont 10 scalefont setfont
  /y 800 def 62 { 50 y moveto n 20 string cvs show ( ) show line show /y y 12 sub def } repeat } def
"""
PICTURE = """
/picture { gsave 80 300 translate 440 300 scale
  440 300 8 [440 0 0 -300 0 300] { rows 440 mod pop row } image grestore } def
/rows 0 def
/row { /rows rows 1 add def 440 string 0 1 439 { 1 index exch dup 3 mul rows 2 mul add
  dup rows mul 7 idiv add 255 and put } for } def
"""


def run(command, read=False, stdin=None):
    """Runs to the end; processor time in seconds, the largest memory in MB, and what it wrote."""
    with tempfile.TemporaryFile() as sink:
        child = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE if read else sink, stderr=sink)
        wrote = child.stdout.read() if read else b""
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sink.seek(0)
            raise SystemExit(f"{command}: {child.returncode} {sink.read()[:500]!r}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, wrote


def gs(device, out, source, *more):
    return ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sPAPERSIZE=a4", f"-sDEVICE={device}", *more,
            f"-sOutputFile={out}", source]


def documents(folder):
    """The PDF files by name, each with its pages."""
    made = {}
    for name, pages, body in [("text", 60, "text"), ("mixed", 30, "text picture")]:
        source = f"{folder}/{name}.ps"
        with open(source, "w") as file:
            file.write(f"%!PS\n{TEXT}{PICTURE}0 1 {pages - 1} {{ /n exch def {body} showpage }} for\n")
        run(gs("pdfwrite", f"{folder}/{name}.pdf", source))
        made[name] = (f"{folder}/{name}.pdf", pages)
    text = made["text"][0]
    for name, device, dpi, packing, pages in [
        ("scan, JPEG grey 200 dpi", "tiffgray", "200", ["-j", "-q", "75"], 20),
        ("scan, G4 300 dpi", "tiffg4", "300", [], 30),
    ]:
        tiff, pdf = f"{folder}/{device}.tif", f"{folder}/{device}.pdf"
        run(gs(device, tiff, text, f"-r{dpi}", f"-dLastPage={pages}", "-dTextAlphaBits=4") if packing
            else gs(device, tiff, text, f"-r{dpi}", f"-dLastPage={pages}"))
        run(["tiff2pdf", *packing, "-o", pdf, tiff])
        made[name] = (pdf, pages)
    return made


def mailkeep(binary, pdf):
    """Draws as the server has it drawn: a request and a mail on standard input."""
    request = {"resolution": "fine", "paper": "a4", "cover": "never", "language": "en", "pages_max": 200,
               "recipients": [FIELDS]}
    with open(pdf, "rb") as file:
        coded = base64.encodebytes(file.read()).replace(b"\n", b"\r\n")
    mail = (b"From: ann@clinic.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
            b"--x\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + coded + b"--x--\r\n")
    with tempfile.TemporaryFile() as asked:
        asked.write(json.dumps(request).encode() + b"\n" + mail)
        asked.seek(0)
        cpu, memory, wrote = run([binary, "draw-pages", "draw", "0"], read=True, stdin=asked)
    said = json.loads(wrote.split(b"\n", 1)[0])
    drawn = said.get("drawn") or said
    if "faxes" not in drawn:
        raise SystemExit(f"{pdf}: {said}")
    return (cpu, memory), drawn["faxes"][0]


def pages(binary, folder, runs):
    rows = []
    for name, (pdf, count) in documents(folder).items():
        used = {"mailkeep": [], "gs tiffg4": [], "pdftoppm -mono": []}
        for _ in range(runs):
            ours, fax = mailkeep(binary, pdf)
            used["mailkeep"].append(ours)
            used["gs tiffg4"].append(run(gs("tiffg4", f"{folder}/gs.tif", pdf, *RESOLUTION))[:2])
            used["pdftoppm -mono"].append(run(["pdftoppm", "-mono", "-rx", "204", "-ry", "196", pdf, f"{folder}/p"])[:2])
            for old in [entry for entry in os.listdir(folder) if re.match(r"p-\d+\.pbm$", entry)]:
                os.remove(f"{folder}/{old}")
        assert fax["pages"] == count, (fax, count)
        theirs = os.path.getsize(f"{folder}/gs.tif") / count
        for program, measured in used.items():
            rate = count / statistics.median(cpu for cpu, _ in measured)
            octets = {"mailkeep": fax["octets"] / count, "gs tiffg4": theirs}.get(program)
            size = f"{octets:,.0f}" if octets else "-"
            rows.append(f"| {name} | {program} | {rate:.1f} | {size} | {max(mb for _, mb in measured):.0f} |")
    print("| document | program | pages a CPU second | octets a page | MB |\n| --- | --- | --- | --- | --- |")
    print("\n".join(rows))


CONFIGURATION = """hostname mx.clinic.example
data {folder}/data
control {folder}/control
listener mx {{ port {port}; address 127.0.0.1; tls off }}
domain clinic.example {{ deliver-to maildir {folder}/maildir }}
fax clinic {{
    domains fax.clinic.example
    organisation "Clinic of Example"
    main-number "+1 202 555 0199"
    country US
    user ann@clinic.example
    mail-server-white-list 127.0.0.1
    transport spool {folder}/spool
}}
"""


def answer(spool, folders):
    """What the line says of faxes that are in the spool: sent."""
    for entry in os.listdir(spool) if os.path.isdir(spool) else []:
        if not entry.endswith(".new") and entry not in folders and os.path.exists(f"{spool}/{entry}/job.json"):
            with open(f"{spool}/{entry}/status.new", "w") as file:
                file.write('{"state":"sent","pages":1}')
            os.rename(f"{spool}/{entry}/status.new", f"{spool}/{entry}/status.json")
            folders.add(entry)


def burst(binary, folder, count):
    """So many mails at once, each a fax of a page, to a line that sends each at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = f"{folder}/mailkeep.conf"
    with open(configuration, "w") as file:
        file.write(CONFIGURATION.format(folder=folder, port=port))
    server = subprocess.Popen([binary, "--config", configuration, "serve"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                client = smtplib.SMTP("127.0.0.1", port)
                break
            except OSError:
                time.sleep(0.1)
        began = time.monotonic()
        for n in range(count):
            text = f"From: ann@clinic.example\r\nSubject: Result\r\n\r\nThe result {n} is good.\r\n"
            client.sendmail("ann@clinic.example", [f"202555{n:04d}@fax.clinic.example"], text)
        accepted = time.monotonic() - began
        folders, peak = set(), 0
        while len(folders) < count:
            answer(f"{folder}/spool", folders)
            with open(f"/proc/{server.pid}/status") as file:
                peak = max(peak, int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) // 1024)
            if time.monotonic() - began > 300:
                raise SystemExit(f"the burst does not end: {len(folders)} of {count} were sent")
            time.sleep(0.05)
        whole = time.monotonic() - began
        print(f"\n{count} mails accepted in {accepted:.1f} s, all drawn and sent after {whole:.1f} s "
              f"({count / whole:.0f} faxes a second); the server had {peak} MB at most")
    finally:
        server.terminate()
        server.wait()


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    binary, runs = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    folder = tempfile.mkdtemp(prefix="mailkeep-fax-")
    try:
        pages(binary, folder, runs)
        burst(binary, folder, 1000)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
