//! The sockets of the lab's name server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Asked, Shared};
use crate::LabError;

/// Tries to find a port that is free for UDP and for TCP.
const PORT_TRIES: usize = 16;
/// Octets of an answer over UDP to a client without EDNS (RFC 1035 section 4.2.1).
const UDP_PLAIN_MAX_OCTETS: usize = 512;
/// Octets of any answer over UDP, whatever the client allows (RFC 9715).
const UDP_MAX_OCTETS: usize = 1_232;
/// Octets of a question that are read.
const QUESTION_MAX_OCTETS: usize = 4_096;
/// TCP connections served at a time; more wait.
const CONNECTIONS_MAX: usize = 64;
/// Time for the next question on a TCP connection.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Wait after a failed accept, so that a lack of descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Opens both sockets on the same port.
pub(super) async fn open(address: SocketAddr) -> Result<(UdpSocket, TcpListener), LabError> {
    let mut tries = 0;
    loop {
        match open_pair(address).await {
            Ok(pair) => return Ok(pair),
            Err(source) => {
                tries += 1;
                if address.port() != 0 || tries == PORT_TRIES {
                    return Err(LabError::Bind { address, source });
                }
            }
        }
    }
}

async fn open_pair(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let tcp = TcpListener::bind(address).await?;
    let udp = UdpSocket::bind(tcp.local_addr()?).await?;
    Ok((udp, tcp))
}

pub(super) async fn serve_udp(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = vec![0; QUESTION_MAX_OCTETS];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if let Some(answer) = answer(&shared, &buffer[..length], false)
            && let Err(error) = socket.send_to(&answer, peer).await
        {
            tracing::debug!(%peer, %error, "lab DNS answer not sent");
        }
    }
}

pub(super) async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that leaves or is slow ends its own connection only.
            let _ = serve_connection(stream, &shared).await;
            drop(place);
        });
    }
}

async fn serve_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let length = usize::from(timeout(IDLE_MAX, stream.read_u16()).await??);
        if length > QUESTION_MAX_OCTETS {
            return Ok(());
        }
        let mut question = vec![0; length];
        timeout(IDLE_MAX, stream.read_exact(&mut question)).await??;
        let Some(answer) = answer(shared, &question, true) else { continue };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        timeout(IDLE_MAX, stream.write_all(&framed)).await??;
    }
}

/// The answer to one question, or `None` where silence is the answer.
fn answer(shared: &Shared, question: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let metadata = question.metadata;
    if metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = Message::response(metadata.id, metadata.op_code);
    reply.metadata.recursion_desired = metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    reply.metadata.checking_disabled = metadata.checking_disabled;
    let room = match &question.edns {
        Some(asked) => {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_MAX_OCTETS as u16).set_version(0);
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            reply.set_edns(edns);
            usize::from(asked.max_payload()).clamp(UDP_PLAIN_MAX_OCTETS, UDP_MAX_OCTETS)
        }
        None => UDP_PLAIN_MAX_OCTETS,
    };
    let [query] = question.queries.as_slice() else {
        reply.metadata.response_code = ResponseCode::FormErr;
        return reply.to_vec().ok();
    };
    reply.add_query(query.clone());
    if metadata.op_code != OpCode::Query {
        reply.metadata.response_code = ResponseCode::NotImp;
        return reply.to_vec().ok();
    }
    let name = query.name().to_lowercase();
    let kind = query.query_type();
    shared.note(Asked { name: name.to_ascii().trim_end_matches('.').to_owned(), kind, tcp });
    let found = shared.records().answer(query.name(), kind)?;
    reply.metadata.response_code = found.code;
    reply.add_answers(found.answers);
    reply.add_authorities(found.denial);
    let cut_off = found.truncated && !tcp;
    let bytes = reply.to_vec().ok()?;
    if cut_off || (!tcp && bytes.len() > room) {
        return reply.truncate().to_vec().ok();
    }
    Some(bytes)
}
