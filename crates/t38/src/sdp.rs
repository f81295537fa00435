//! What two sides say of the media of a call: SDP (RFC 8866) with the attributes of T.38
//! (ITU-T T.38, Annex D; RFC 3362).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The longest description that is read, in octets.
pub const DESCRIPTION_MAX_OCTETS: usize = 8 * 1024;
/// The fastest rate that is offered, in bits a second (V.17).
pub const BIT_RATE_MAX: u32 = 14_400;

/// The fax part of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fax {
    /// Where its packets are awaited.
    pub media: SocketAddr,
    /// The version of T.38; we speak 0, which every version understands.
    pub version: u32,
    /// The fastest rate, in bits a second.
    pub bit_rate: u32,
    /// The longest datagram the side takes, in octets.
    pub datagram_max: u32,
}

/// What a side wants of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// T.38 over UDPTL.
    Fax(Fax),
    /// A voice call, as most fax calls begin; its packets are awaited here.
    Voice(SocketAddr),
    /// Neither, in words.
    Neither(&'static str),
}

/// The description of a call of ours: its media and what changed since the first.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Where we await packets.
    pub media: SocketAddr,
    /// A number of this call.
    pub session: u64,
    /// Counts the descriptions of the call, from 1.
    pub version: u32,
    /// Which media.
    pub kind: Kind,
}

/// Which media a description of ours has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// T.38.
    Fax,
    /// Voice in G.711, to begin with.
    Voice,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.media.ip();
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        let (session, version, port) = (self.session, self.version, self.media.port());
        write!(f, "v=0\r\no=mailkeep {session} {version} IN {family} {address}\r\n")?;
        write!(f, "s=fax\r\nc=IN {family} {address}\r\nt=0 0\r\n")?;
        match self.kind {
            Kind::Fax => write!(
                f,
                "m=image {port} udptl t38\r\n\
                 a=T38FaxVersion:0\r\n\
                 a=T38MaxBitRate:{BIT_RATE_MAX}\r\n\
                 a=T38FaxRateManagement:transferredTCF\r\n\
                 a=T38FaxMaxDatagram:{}\r\n\
                 a=T38FaxUdpEC:t38UDPRedundancy\r\n",
                crate::udptl::DATAGRAM_MAX_OCTETS
            ),
            Kind::Voice => write!(
                f,
                "m=audio {port} RTP/AVP 0 8\r\n\
                 a=rtpmap:0 PCMU/8000\r\n\
                 a=rtpmap:8 PCMA/8000\r\n\
                 a=sendrecv\r\n"
            ),
        }
    }
}

/// One `m=` and what stands below it.
#[derive(Default)]
struct Section<'a> {
    kind: &'a str,
    port: u16,
    transport: &'a str,
    formats: &'a str,
    address: Option<IpAddr>,
    attributes: Vec<(&'a str, &'a str)>,
}

impl Section<'_> {
    fn number(&self, name: &str, otherwise: u32) -> u32 {
        let found = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(otherwise)
    }

    fn media(&self, session: Option<IpAddr>) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address.or(session)?, self.port))
    }
}

/// What a description of the other side wants. Fax goes before voice where it has both.
pub fn read(description: &[u8]) -> Media {
    if description.len() > DESCRIPTION_MAX_OCTETS {
        return Media::Neither("the description of the call is too long");
    }
    let Ok(text) = std::str::from_utf8(description) else {
        return Media::Neither("the description of the call is no text");
    };
    let (mut sections, mut address): (Vec<Section<'_>>, Option<IpAddr>) = (Vec::new(), None);
    for line in text.lines() {
        let Some((kind, value)) = line.split_once('=') else { continue };
        match (kind, sections.last_mut()) {
            ("m", _) => sections.push(section(value)),
            ("c", Some(section)) => section.address = connection(value),
            ("c", None) => address = connection(value),
            ("a", Some(section)) => {
                section.attributes.push(value.split_once(':').unwrap_or((value, "")));
            }
            _ => {}
        }
    }
    // A port of 0 means that this part is not wanted (RFC 3264, 6).
    let wanted = |kind: &str| sections.iter().find(|s| s.kind == kind && s.port != 0);
    if let Some(image) = wanted("image") {
        if !image.transport.eq_ignore_ascii_case("udptl")
            || !image.formats.split(' ').any(|format| format.eq_ignore_ascii_case("t38"))
        {
            return Media::Neither("the fax is to go by something else than T.38 over UDPTL");
        }
        let Some(media) = image.media(address) else {
            return Media::Neither("the description names no address for fax packets");
        };
        let local_tcf = image.attributes.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("T38FaxRateManagement")
                && value.trim().eq_ignore_ascii_case("localTCF")
        });
        if local_tcf {
            return Media::Neither("rate management by localTCF is for TCP, and not over UDPTL");
        }
        return Media::Fax(Fax {
            media,
            version: image.number("T38FaxVersion", 0),
            bit_rate: image.number("T38MaxBitRate", BIT_RATE_MAX),
            datagram_max: image.number("T38FaxMaxDatagram", 400),
        });
    }
    match wanted("audio").and_then(|audio| audio.media(address)) {
        Some(media) => Media::Voice(media),
        None => Media::Neither("the description has neither T.38 nor voice"),
    }
}

/// `image 4000 udptl t38`
fn section(value: &str) -> Section<'_> {
    let mut words = value.splitn(4, ' ');
    let kind = words.next().unwrap_or_default();
    let port = words.next().and_then(|port| port.split('/').next()?.parse().ok()).unwrap_or(0);
    let transport = words.next().unwrap_or_default();
    let formats = words.next().unwrap_or_default().trim();
    Section { kind, port, transport, formats, ..Section::default() }
}

/// `IN IP4 192.0.2.1`; a time to live behind a stroke is of multicast, which is not wanted.
fn connection(value: &str) -> Option<IpAddr> {
    let address: IpAddr = value.split(' ').nth(2)?.trim().parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(kind: Kind) -> String {
        let media = "192.0.2.10:4000".parse().unwrap();
        Description { media, session: 77, version: 1, kind }.to_string()
    }

    #[test]
    fn what_we_write_is_read_again() {
        let fax = Fax {
            media: "192.0.2.10:4000".parse().unwrap(),
            version: 0,
            bit_rate: 14_400,
            datagram_max: 1_400,
        };
        assert_eq!(read(ours(Kind::Fax).as_bytes()), Media::Fax(fax));
        let voice = Media::Voice("192.0.2.10:4000".parse().unwrap());
        assert_eq!(read(ours(Kind::Voice).as_bytes()), voice);
        let media = "[2001:db8::1]:4000".parse().unwrap();
        let six = Description { media, session: 1, version: 2, kind: Kind::Fax }.to_string();
        assert!(six.contains("c=IN IP6 2001:db8::1\r\n"), "{six}");
        assert!(matches!(read(six.as_bytes()), Media::Fax(fax) if fax.media == media));
    }

    /// As gateways write it: an address for each part, names in any case, a voice part that is
    /// refused, and values that other products are known to send.
    #[test]
    fn the_descriptions_of_gateways_are_understood() {
        let text = "v=0\no=- 1 2 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\n\
                    m=audio 0 RTP/AVP 0\n\
                    m=image 16384 UDPTL T38\nc=IN IP4 198.51.100.2\na=t38faxversion:3\n\
                    a=T38MaxBitRate: 9600\na=T38FaxFillBitRemoval\na=T38FaxMaxDatagram:72\n\
                    a=T38FaxUdpEC:t38UDPFEC\n";
        let fax = Fax {
            media: "198.51.100.2:16384".parse().unwrap(),
            version: 3,
            bit_rate: 9_600,
            datagram_max: 72,
        };
        assert_eq!(read(text.as_bytes()), Media::Fax(fax));
    }

    #[test]
    fn what_cannot_be_a_fax_says_why() {
        let with = |media: &str| format!("v=0\r\nc=IN IP4 192.0.2.1\r\n{media}\r\n");
        for (text, why) in [
            (String::new(), "neither T.38 nor voice"),
            (with("m=image 0 udptl t38"), "neither T.38 nor voice"),
            (with("m=video 4000 RTP/AVP 99"), "neither T.38 nor voice"),
            (with("m=image 4000 TCP t38"), "something else than T.38 over UDPTL"),
            (with("m=image 4000 udptl t38\r\na=T38FaxRateManagement:localTCF"), "localTCF"),
            ("m=image 4000 udptl t38\r\n".to_owned(), "names no address"),
            ("c=IN IP4 0.0.0.0\r\nm=image 4000 udptl t38\r\n".to_owned(), "names no address"),
            ("c=IN IP4 224.0.0.1/127\r\nm=image 4000 udptl t38\r\n".to_owned(), "no address"),
            ("x".repeat(DESCRIPTION_MAX_OCTETS + 1), "too long"),
        ] {
            match read(text.as_bytes()) {
                Media::Neither(words) => assert!(words.contains(why), "{text}: {words}"),
                media => panic!("{text}: {media:?}"),
            }
        }
        assert_eq!(read(b"\xff"), Media::Neither("the description of the call is no text"));
    }
}
