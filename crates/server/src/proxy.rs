//! The PROXY protocol, versions 1 and 2, from listed balancers (A6).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest header: version 2 with its largest announced length is longer,
/// but nothing a balancer sends comes near this.
const HEADER_MAX_OCTETS: usize = 4096;
/// How long a balancer may take to send it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the header a balancer sends first and gives the client it names;
/// `None` when the balancer speaks for itself (a health check).
///
/// # Errors
///
/// When no complete, well-formed header comes in time. The connection must be
/// closed: without the header nobody knows who the client is.
pub async fn read_header(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let header = tokio::time::timeout(HEADER_TIMEOUT, collect(stream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no PROXY header came in time"))??;
    parse(&header)
}

/// Takes exactly the octets of the header from the stream, so that what follows stays.
async fn collect(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(256);
    loop {
        let mut peeked = [0; HEADER_MAX_OCTETS];
        stream.readable().await?;
        let seen = stream.peek(&mut peeked).await?;
        if seen == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "closed before the PROXY header",
            ));
        }
        let already = header.len();
        let mut candidate = header.clone();
        candidate.extend_from_slice(&peeked[..seen]);
        let (complete, length) = extent(&candidate)?;
        let take = length.min(candidate.len()) - already;
        let mut taken = vec![0; take];
        stream.read_exact(&mut taken).await?;
        header.extend(taken);
        if complete {
            return Ok(header);
        }
        if header.len() >= HEADER_MAX_OCTETS {
            return Err(malformed("the PROXY header is too long"));
        }
    }
}

/// Whether `bytes` hold a whole header, and how many of them belong to it.
fn extent(bytes: &[u8]) -> io::Result<(bool, usize)> {
    let result = HeaderResult::parse(bytes);
    if result.is_incomplete() {
        return Ok((false, bytes.len()));
    }
    match result {
        HeaderResult::V1(Ok(header)) => Ok((true, header.header.len())),
        HeaderResult::V2(Ok(header)) => Ok((true, header.len())),
        HeaderResult::V1(Err(error)) => Err(malformed(&error.to_string())),
        HeaderResult::V2(Err(error)) => Err(malformed(&error.to_string())),
    }
}

fn parse(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let client = |ip: IpAddr, port| Some(SocketAddr::new(ip.to_canonical(), port));
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(a) => client(a.source_address.into(), a.source_port),
            v1::Addresses::Tcp6(a) => client(a.source_address.into(), a.source_port),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(a) => client(a.source_address.into(), a.source_port),
            v2::Addresses::IPv6(a) => client(a.source_address.into(), a.source_port),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        }),
        HeaderResult::V1(Err(error)) => Err(malformed(&error.to_string())),
        HeaderResult::V2(Err(error)) => Err(malformed(&error.to_string())),
    }
}

fn malformed(detail: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        use tokio::io::AsyncWriteExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let header = read_header(&mut stream).await;
        let mut rest = Vec::new();
        if header.is_ok() {
            stream.read_to_end(&mut rest).await.unwrap();
        }
        (header, rest)
    }

    #[tokio::test]
    async fn the_header_is_taken_and_not_one_octet_more() {
        let (client, rest) = read(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nEHLO a\r\n").await;
        assert_eq!(client.unwrap(), Some("192.0.2.7:4711".parse().unwrap()));
        assert_eq!(rest, b"EHLO a\r\n");

        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        v2.extend([192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 25]);
        v2.extend(b"EHLO b\r\n");
        let (client, rest) = read(&v2).await;
        assert_eq!(client.unwrap(), Some("192.0.2.7:4711".parse().unwrap()));
        assert_eq!(rest, b"EHLO b\r\n");
    }

    #[tokio::test]
    async fn a_health_check_names_no_client() {
        assert_eq!(read(b"PROXY UNKNOWN\r\n").await.0.unwrap(), None);
        assert_eq!(read(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_header_closes_the_connection() {
        for bad in [&b"EHLO a\r\n"[..], b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 192.0.2", b""] {
            assert!(read(bad).await.0.is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
