//! Service extensions: what a server offers in its reply to EHLO (RFC 5321 section 4.1.1.1).

use crate::mechanism::Mechanism;

/// What EHLO offers. A server writes it, a client reads it; the same type serves both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// SIZE (RFC 1870): the largest message in octets; `Some(0)` names no limit.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// CHUNKING: the BDAT command (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030); of use only with CHUNKING.
    pub binary_mime: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// REQUIRETLS (RFC 8689); offered only under TLS.
    pub require_tls: bool,
    /// AUTH (RFC 4954): mechanisms in order of preference; none means AUTH is not offered.
    /// Mechanisms a peer offers that we do not know are left out.
    pub auth: Vec<Mechanism>,
    /// LIMITS (RFC 9422).
    pub limits: Limits,
}

/// The numbers LIMITS names (RFC 9422 section 4); `None` where it names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most transactions in one session.
    pub mail_max: Option<u32>,
    /// The most recipients in one transaction.
    pub rcpt_max: Option<u32>,
    /// The most recipient domains in one transaction.
    pub rcpt_domain_max: Option<u32>,
}

impl Extensions {
    /// Reads what an EHLO reply offers: its lines without codes. The first line is
    /// the server's name and is passed over; unknown keywords are too.
    pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut offered = Self::default();
        for line in lines.into_iter().skip(1) {
            offered.read_line(line);
        }
        offered
    }

    fn read_line(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        let keyword = keyword.to_ascii_uppercase();
        match keyword.as_str() {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => self.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary_mime = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "STARTTLS" => self.starttls = true,
            "REQUIRETLS" => self.require_tls = true,
            "AUTH" => self.add_mechanisms(words),
            "LIMITS" => words.for_each(|word| self.limits.read(word)),
            // Servers before RFC 2554 wrote "AUTH=PLAIN LOGIN".
            other => {
                if let Some(first) = other.strip_prefix("AUTH=") {
                    self.add_mechanisms(std::iter::once(first).chain(words));
                }
            }
        }
    }

    fn add_mechanisms<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for mechanism in names.filter_map(|name| name.parse().ok()) {
            if !self.auth.contains(&mechanism) {
                self.auth.push(mechanism);
            }
        }
    }

    /// The lines of an EHLO reply after the first, in a fixed order.
    pub fn to_lines(&self) -> Vec<String> {
        let flags = [
            (self.pipelining, "PIPELINING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.dsn, "DSN"),
            (self.chunking, "CHUNKING"),
            (self.binary_mime, "BINARYMIME"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.starttls, "STARTTLS"),
            (self.require_tls, "REQUIRETLS"),
        ];
        let mut lines: Vec<String> =
            flags.into_iter().filter(|(on, _)| *on).map(|(_, word)| word.to_owned()).collect();
        match self.size {
            None => {}
            Some(0) => lines.push("SIZE".to_owned()),
            Some(octets) => lines.push(format!("SIZE {octets}")),
        }
        if !self.auth.is_empty() {
            let names: Vec<&str> = self.auth.iter().map(|mechanism| mechanism.name()).collect();
            lines.push(format!("AUTH {}", names.join(" ")));
        }
        let limits = self.limits.to_words();
        if !limits.is_empty() {
            lines.push(format!("LIMITS {limits}"));
        }
        lines
    }
}

impl Limits {
    fn read(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let Ok(value) = value.parse() else { return };
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mail_max = Some(value),
            "RCPTMAX" => self.rcpt_max = Some(value),
            "RCPTDOMAINMAX" => self.rcpt_domain_max = Some(value),
            // The registry is open to names we do not know.
            _ => {}
        }
    }

    fn to_words(self) -> String {
        let named = [
            ("MAILMAX", self.mail_max),
            ("RCPTMAX", self.rcpt_max),
            ("RCPTDOMAINMAX", self.rcpt_domain_max),
        ];
        let words: Vec<String> = named
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name}={value}")))
            .collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_reads_back_the_same() {
        let offered = Extensions {
            pipelining: true,
            size: Some(52_428_800),
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            chunking: true,
            binary_mime: true,
            enhanced_status_codes: true,
            starttls: true,
            require_tls: true,
            auth: vec![Mechanism::ScramSha256, Mechanism::Plain],
            limits: Limits { mail_max: Some(100), rcpt_max: Some(1000), rcpt_domain_max: None },
        };
        let lines = offered.to_lines();
        let read =
            Extensions::from_lines(std::iter::once("mx").chain(lines.iter().map(String::as_str)));
        assert_eq!(read, offered);
    }

    #[test]
    fn odd_lines_are_read_as_peers_mean_them() {
        let lines = ["mx AUTH PLAIN", "size", "auth=login foo", "AUTH Login PLAIN", "X-NEW 1", ""];
        let read = Extensions::from_lines(lines);
        assert_eq!(read.auth, [Mechanism::Login, Mechanism::Plain]);
        assert_eq!(read.size, Some(0));
        assert_eq!(Extensions::from_lines(["SIZE 10"]), Extensions::default());
    }
}
