//! A call that is there: packets between the fax machine and the network, time, and the end.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::engine::work::{Ended, Start};
use crate::engine::{Engine, EngineError, Told};
use crate::sdp::Fax;
use crate::udptl::{RECEIVED_MAX_OCTETS, Receiver, Sender};

/// A tick of the fax machine's clock.
const TICK: Duration = Duration::from_millis(20);
/// Packets that leave within a tick. A machine that is not paced makes those of a page at once,
/// and no network has room for them at once.
const PACKETS_A_TICK: u32 = 64;
/// The longest call.
const CALL_MAX: Duration = Duration::from_secs(2 * 3_600);
/// How long the machine may take to end once it was told that the call is over.
const END_MAX: Duration = Duration::from_secs(5);

/// How the media of a call ended.
#[derive(Debug)]
pub struct Done {
    /// How the machine says that it ended.
    pub ended: Ended,
    /// The pages that have come, as TIFF. Empty for those that were sent.
    pub file: Vec<u8>,
    /// Packets that were lost and came with a later datagram.
    pub recovered: u64,
    /// Packets that never came.
    pub lost: u64,
}

/// Keeps what the machine has told, before the other side is told.
pub trait Keeper {
    /// So many pages in all were confirmed, or have come; of those that have come the file.
    /// When this returns true, they are kept.
    fn pages(&mut self, pages: u32, file: &[u8]) -> impl Future<Output = bool> + Send;
}

/// Carries packets from the start of a call to its end, or until `over` says that the other
/// side has hung up or that we are to. Datagrams of other addresses than the other side's are
/// not looked at.
///
/// # Errors
///
/// When the machine is gone, or pages could not be kept: then the other side was not told that
/// they were taken.
pub async fn carry(
    engine: &mut Engine,
    socket: &UdpSocket,
    other: &Fax,
    over: impl Future<Output = ()>,
    keeper: &mut impl Keeper,
) -> Result<Done, EngineError> {
    engine.start(Start { bit_rate: other.bit_rate }).await?;
    let mut sender = Sender::limited(other.datagram_max);
    let mut receiver = Receiver::default();
    let mut ticks = interval(TICK);
    // Time that was slept through has passed for the other side too.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut left = PACKETS_A_TICK;
    let (mut deadline, mut is_over) = (Instant::now() + CALL_MAX, false);
    let mut datagram = [0; RECEIVED_MAX_OCTETS + 1];
    tokio::pin!(over);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                left = PACKETS_A_TICK;
                engine.tick().await?;
            }
            told = engine.told(), if left > 0 => match told? {
                Told::Packet { octets, times } => {
                    left -= 1;
                    let datagram = sender.datagram(&octets);
                    for _ in 0..times {
                        // A datagram that the network does not take is one that was lost.
                        let _sent = socket.send_to(&datagram, other.media).await;
                    }
                }
                Told::Pages { pages, file } => {
                    if !keeper.pages(pages, &file).await {
                        return Err(EngineError::Gone(std::io::Error::other(
                            "pages could not be kept",
                        )));
                    }
                    engine.kept().await?;
                }
                Told::Ended { ended, file } => {
                    let (recovered, lost) = (receiver.recovered, receiver.lost);
                    return Ok(Done { ended, file, recovered, lost });
                }
            },
            came = socket.recv_from(&mut datagram) => {
                // An error is that of a datagram sent before, to a port where nobody listens.
                if let Ok((length, from)) = came && is_of(other, from) {
                    for packet in receiver.take(&datagram[..length]) {
                        engine.packet(packet.sequence, &packet.octets).await?;
                    }
                }
            }
            () = &mut over, if !is_over => {
                is_over = true;
                engine.hang_up().await?;
                deadline = deadline.min(Instant::now() + END_MAX);
            }
            () = tokio::time::sleep_until(deadline) => {
                if is_over {
                    return Err(EngineError::Gone(std::io::ErrorKind::TimedOut.into()));
                }
                is_over = true;
                engine.hang_up().await?;
                deadline = Instant::now() + END_MAX;
            }
        }
    }
}

/// Whether a datagram is of the other side: of its address, from whichever port.
fn is_of(other: &Fax, from: SocketAddr) -> bool {
    from.ip().to_canonical() == other.media.ip().to_canonical()
}
