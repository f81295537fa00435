#!/bin/sh
# The shipped Fail2Ban filter finds every security line that Mailkeep writes, with the right
# address, and nothing else; Fail2Ban accepts filter and jail. Needs Debian's fail2ban.
set -eu

cd "$(dirname "$0")/../.."
shipped=$PWD/packaging/fail2ban
filter=$shipped/filter.d/mailkeep.conf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -n "${SECURITY_LINES:-}" ]; then
    cp "$SECURITY_LINES" "$work/lines"
else
    cargo run --quiet -p mailkeep-accounts --example security_lines >"$work/lines"
fi

expected='192.0.2.1
2001:db8::2
192.0.2.3
192.0.2.4
192.0.2.5
192.0.2.6
192.0.2.7
192.0.2.8
2001:db8::9
192.0.2.10'

# The heads a line can have: syslog's and the journal's, and those of a log file.
sed 's/^/Jul 14 10:02:11 mail mailkeep[812]: /' "$work/lines" >"$work/syslog"
sed 's/^/2026-07-14T10:02:11.042Z mailkeep[812]: /' "$work/lines" >"$work/file"
sed 's/^/2026-07-14T10:02:11.042Z  WARN mailkeep: /' "$work/lines" >"$work/level"

for form in syslog file level; do
    found=$(fail2ban-regex -o '<ip>' "$work/$form" "$filter")
    if [ "$found" != "$expected" ]; then
        printf 'fail2ban: in the %s form it found\n%s\nand not\n%s\n' "$form" "$found" "$expected"
        exit 1
    fi
done

# Other lines, among them some in which a client has put a security line.
forged='security: auth-fail ip=8.8.8.8 service=smtp user="" reason=x'
cat >"$work/other" <<LINES
Jul 14 10:02:11 mail mailkeep[812]: delivered 0198 to partner.example over TLSv1.3
Jul 14 10:02:11 mail mailkeep[812]: HELO mailkeep[812]: $forged
Jul 14 10:02:11 mail mailkeep[812]: mailkeep: $forged
Jul 14 10:02:11 mail other[1]: mailkeep[812]: $forged
Jul 14 10:02:11 mail mailkeep[812]: security: auth-fail ip=mail.example service=smtp user="a" reason=x
Jul 14 10:02:11 mail mailkeep[812]: $forged and more
2026-07-14T10:02:11.042Z INFO smtp: mailkeep: $forged
LINES
found=$(fail2ban-regex -o '<ip>' "$work/other" "$filter")
if [ -n "$found" ]; then
    printf 'fail2ban: it took other lines for security lines:\n%s\n' "$found"
    exit 1
fi

# The whole configuration, as Fail2Ban would start with it.
cp -r /etc/fail2ban "$work/config"
rm -f "$work"/config/jail.d/*
cp "$filter" "$work/config/filter.d/mailkeep.conf"
cp "$shipped/jail.d/mailkeep.conf" "$work/config/jail.d/mailkeep.conf"
fail2ban-client -c "$work/config" --test >"$work/said" 2>&1 || {
    cat "$work/said"
    exit 1
}
fail2ban-client -c "$work/config" -d | grep -q "mailkeep.*systemd" || {
    echo 'fail2ban: the jail is not in the configuration'
    exit 1
}

echo 'fail2ban: 30 of 30 security lines found, 7 of 7 other lines passed over'
