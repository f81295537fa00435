//! Macros: what a filter is told beside the commands themselves.

use std::collections::BTreeMap;

/// When macros are sent; the numbers are those of `SMFIM_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A client has connected.
    Connect,
    /// It said who it is.
    Helo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The end of the message.
    End,
    /// The end of the header.
    EndOfHeader,
}

/// The macros a filter asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Symbols {
    chosen: BTreeMap<Stage, Vec<String>>,
}

/// The values of macros, by name. A name of more than one letter stands in braces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Macros {
    values: BTreeMap<String, String>,
}

/// Macros of one stage that a filter may ask for.
const SYMBOLS_MAX: usize = 100;

impl Stage {
    /// The stage of a number.
    pub(super) const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Connect,
            1 => Self::Helo,
            2 => Self::Mail,
            3 => Self::Rcpt,
            4 => Self::Data,
            5 => Self::End,
            6 => Self::EndOfHeader,
            _ => return None,
        })
    }

    /// What is sent where a filter does not choose, as Sendmail's default is.
    const fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Connect => {
                &["j", "_", "{daemon_name}", "{daemon_port}", "{if_name}", "{if_addr}", "v"]
            }
            Self::Helo => {
                &["{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"]
            }
            Self::Mail => &[
                "i",
                "{auth_type}",
                "{auth_authen}",
                "{auth_author}",
                "{auth_ssf}",
                "{mail_mailer}",
                "{mail_host}",
                "{mail_addr}",
                "{client_addr}",
                "{client_name}",
            ],
            Self::Rcpt => &["{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}"],
            Self::Data | Self::EndOfHeader => &["i"],
            Self::End => &["i", "{msg_id}"],
        }
    }
}

impl Symbols {
    /// Takes a filter's list for a stage: names parted by spaces or commas.
    pub(super) fn choose(&mut self, stage: Stage, names: &str) {
        let names = names.split([' ', ',']).filter(|name| !name.is_empty());
        self.chosen.insert(stage, names.take(SYMBOLS_MAX).map(str::to_owned).collect());
    }

    /// The names for a stage.
    pub fn of(&self, stage: Stage) -> Vec<&str> {
        match self.chosen.get(&stage) {
            Some(chosen) => chosen.iter().map(String::as_str).collect(),
            None => stage.usual().to_vec(),
        }
    }
}

impl Macros {
    /// Sets the value of a macro. Its name is `j` or `{daemon_name}`.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let mut value: String = value.into();
        // A NUL would end the value in the packet.
        value.retain(|c| c != '\0');
        self.values.insert(name.to_owned(), value);
    }

    /// Forgets a macro.
    pub fn unset(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// The value of a macro, asked with or without braces.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.values.get(name).or_else(|| {
            let bare = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            bare.map_or_else(
                || self.values.get(&format!("{{{name}}}")),
                |bare| self.values.get(bare),
            )
        });
        found.map(String::as_str)
    }

    /// The content of a packet of macros for the command `kind`; `None` if there are none.
    pub(super) fn content(&self, kind: u8, stage: Stage, symbols: &Symbols) -> Option<Vec<u8>> {
        let mut content = vec![kind];
        for name in symbols.of(stage) {
            let Some(value) = self.get(name) else { continue };
            if content.len() + name.len() + value.len() + 2 > super::codec::CONTENT_MAX_OCTETS {
                break;
            }
            for part in [name, value] {
                content.extend_from_slice(part.as_bytes());
                content.push(0);
            }
        }
        (content.len() > 1).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_sends_what_the_filter_chose_or_what_is_usual() {
        let mut macros = Macros::default();
        macros.set("i", "01ABC");
        macros.set("{mail_addr}", "ann@example.org");
        macros.set("{rcpt_addr}", "bob@example.org");
        let mut symbols = Symbols::default();
        let usual = macros.content(b'M', Stage::Mail, &symbols).unwrap();
        assert_eq!(usual, b"Mi\x0001ABC\0{mail_addr}\0ann@example.org\0");
        symbols.choose(Stage::Mail, "rcpt_addr, {i}");
        let chosen = macros.content(b'M', Stage::Mail, &symbols).unwrap();
        assert_eq!(chosen, b"Mrcpt_addr\0bob@example.org\0{i}\x0001ABC\0");
        symbols.choose(Stage::Mail, "");
        assert_eq!(macros.content(b'M', Stage::Mail, &symbols), None);
    }
}
