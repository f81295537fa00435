#!/bin/sh
# Writes a fresh instance of Mailkeep below HARNESS/run/mailkeep, as the harness asks of every peer.
#
#   setup.sh HARNESS
#
# MAILKEEP_EVIDENCE=off, MAILKEEP_LOG=warn, MAILKEEP_RULES='...' and MAILKEEP_TABLES='...' make variants.
set -eu
harness=$1
here=$(dirname "$0")
run=$harness/run/mailkeep
rm -rf "$run"
mkdir -p "$run/data" "$run/box"
chmod 700 "$run/data"
dead=$(i=0; while [ "$i" -lt 100 ]; do echo "    d$i.dead.test 127.0.2.$((i + 1)):9"; i=$((i + 1)); done)
PERF=$harness DEAD=$dead EVIDENCE=${MAILKEEP_EVIDENCE:-on} LOG=${MAILKEEP_LOG:-info} \
    RULES=${MAILKEEP_RULES:-} TABLES=${MAILKEEP_TABLES:-} \
    awk '{
        while (match($0, /@[A-Z]+@/)) {
            name = substr($0, RSTART + 1, RLENGTH - 2)
            $0 = substr($0, 1, RSTART - 1) ENVIRON[name] substr($0, RSTART + RLENGTH)
        }
        print
    }' "$here/mailkeep.conf" > "$run/mailkeep.conf"
"$harness/bin/mailkeep" --config "$run/mailkeep.conf" config check
