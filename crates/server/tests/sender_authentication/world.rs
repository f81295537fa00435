//! A running server that only annotates, a name server of the test's own, and clients from
//! any address by the PROXY protocol.

use std::net::IpAddr;

use lab::{Behaviour, Dns, Records};

use crate::support::partners::Lab;
use crate::support::{Client, Server};

/// What the cases run on.
pub struct World {
    /// Keeps the name server running.
    pub lab: Lab,
    pub dns: Dns,
    pub server: Server,
}

/// Who sends what.
pub struct Sending<'a> {
    pub client: IpAddr,
    pub helo: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub message: &'a str,
}

impl World {
    /// A server with this block `sender-authentication`.
    pub fn new(block: &str) -> Self {
        let lab = Lab::new();
        let dns = lab.dns(Records::new());
        let server = Server::start(&format!(
            "hostname mail.test\n\
             data @DIR@/data\n\
             dns {{ server {}; timeout 500ms; attempts 1; cache off }}\n\
             listener mx {{ address 127.0.0.1; port 0; tls off; proxy-protocol from 127.0.0.1 }}\n\
             domain inside.test {{ recipients any; deliver-to maildir @DIR@/maildir }}\n\
             sender-authentication {{ {block} }}\n",
            dns.address()
        ));
        Self { lab, dns, server }
    }

    /// A server that asks this name server.
    pub fn of(lab: Lab, dns: Dns, server: Server) -> Self {
        Self { lab, dns, server }
    }

    /// What the name server answers from here on.
    pub fn publish(&self, records: Records) {
        self.dns.replace(records).expect("records without a mistake");
    }

    /// Sends a message; gives the reply that ended it.
    pub fn send(&self, sending: &Sending<'_>) -> String {
        let Sending { client: ip, helo, from, to, message } = sending;
        let mut client = Client::connect_silently(self.server.address("mx"));
        let header = match ip {
            IpAddr::V4(_) => format!("PROXY TCP4 {ip} 203.0.113.1 4711 25\r\n"),
            IpAddr::V6(_) => format!("PROXY TCP6 {ip} 2001:db8:ffff::1 4711 25\r\n"),
        };
        client.send(header.as_bytes());
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        for command in
            [format!("EHLO {helo}"), format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>")]
        {
            let reply = client.say(&command);
            if !reply.starts_with("250") {
                return reply;
            }
        }
        client.expect("DATA", "354");
        client.send(message.as_bytes());
        client.say(if message.ends_with("\r\n") { "." } else { "\r\n." })
    }

    /// The header of the one message that `address` got, unfolded.
    pub fn header_of(&self, address: &str) -> String {
        let messages = self.server.wait_for_mail(address, 1);
        let head = messages[0].replace("\r\n", "\n");
        let head = head.split("\n\n").next().unwrap_or_default();
        head.replace("\n\t", " ").replace("\n ", " ")
    }
}

/// The value of the first field of a name in an unfolded header.
pub fn field<'a>(header: &'a str, name: &str) -> &'a str {
    let of_name =
        |line: &&str| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
    let line = header.lines().find(of_name).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value.trim())
}

/// The first result of a method in Authentication-Results, whole.
pub fn result<'a>(results: &'a str, method: &str) -> Option<&'a str> {
    let mut quoted = false;
    let parts = results.split(move |c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    parts.map(str::trim).find(|part| part.split('=').next() == Some(method))
}

/// The word of a result: `fail` of `spf=fail (…) …`.
pub fn word(result: &str) -> &str {
    let rest = result.split_once('=').map_or("", |(_, rest)| rest);
    rest.split([' ', ';']).next().unwrap_or_default()
}

/// Adds a line `NAME TYPE DATA` to records.
pub fn add(records: Records, line: &str) -> Records {
    let mut words = line.splitn(3, ' ');
    let (Some(name), Some(kind)) = (words.next(), words.next()) else { panic!("{line}") };
    let data = words.next().unwrap_or_default();
    match kind {
        "A" => records.a(name, data.parse::<std::net::Ipv4Addr>().expect(line)),
        "AAAA" => records.aaaa(name, data.parse::<std::net::Ipv6Addr>().expect(line)),
        "MX" => {
            let (preference, host) = data.split_once(' ').expect(line);
            match host {
                "." => records.null_mx(name),
                host => records.mx(name, preference.parse().expect(line), host),
            }
        }
        "TXT" => records.txt(name, data),
        "TXT-LONG" => {
            let length: usize = data.parse().expect(line);
            records.txt(name, &format!("v=spf1 {}", "ip4:192.0.2.99 ".repeat(length / 15)))
        }
        "CHAIN" => (0..data.parse::<usize>().expect(line)).fold(records, |records, n| {
            let link = |n: usize| name.replace('0', &n.to_string());
            records.txt(&link(n), &format!("v=spf1 include:{} -all", link(n + 1)))
        }),
        "CNAME" => records.cname(name, data),
        "PTR" => records.ptr(name.parse().expect(line), data),
        "silent" => records.behave(name, Behaviour::Silent),
        "servfail" => records.behave(name, Behaviour::ServFail),
        "refused" => records.behave(name, Behaviour::Refused),
        other => panic!("{other} is no type: {line}"),
    }
}
