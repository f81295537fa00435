//! Mail servers with tempers, and what reached them.

use std::collections::BTreeMap;
use std::time::Duration;

use mail::dsn::Reason;
use mail::{Address, Status, Timestamp};
use queue::{Delivered, Onward, Outcome, QueuedRecipient, Subject, Trouble};

pub const SENDER: &str = "ann@home.example";

#[derive(Debug, Clone, Copy)]
enum Temper {
    Good,
    Moody,
    Down,
    Refusing,
    Unprotected,
    DownUntil(Timestamp),
}

pub struct Peers {
    pub names: Vec<&'static str>,
    tempers: BTreeMap<&'static str, Temper>,
    /// What was taken, by message and recipient, how often.
    pub taken: BTreeMap<(u64, Address), usize>,
}

impl Peers {
    pub fn new(random: &mut fastrand::Rng) -> Self {
        let names = vec!["home.example", "a.example", "b.example", "c.example"];
        let tempers = names.iter().map(|&name| (name, temper(random))).collect();
        Self { names, tempers, taken: BTreeMap::new() }
    }

    pub fn answer(
        &mut self,
        random: &mut fastrand::Rng,
        id: u64,
        recipient: &QueuedRecipient,
        now: Timestamp,
    ) -> Outcome {
        let address = recipient.recipient.address.clone();
        let outcome = match self.tempers[address.domain().as_str()] {
            Temper::DownUntil(up) if now < up => Outcome::Temporary(down()),
            Temper::Good | Temper::DownUntil(_) => good(random),
            Temper::Moody => match random.u8(..8) {
                0 | 1 => good(random),
                2 => Outcome::NotTried { again_after: Duration::from_secs(random.u64(1..600)) },
                3 => refused(),
                4 => Outcome::Temporary(Trouble {
                    retry_after: Some(Duration::from_secs(random.u64(..100_000))),
                    ..down()
                }),
                _ => Outcome::Temporary(down()),
            },
            Temper::Down => Outcome::Temporary(down()),
            Temper::Refusing => refused(),
            Temper::Unprotected => Outcome::Temporary(Trouble {
                subject: Subject::Protection,
                ..Trouble::new(Status::new(4, 7, 5), Reason::Other("no TLS".into()), "no TLS")
            }),
        };
        if matches!(outcome, Outcome::Delivered(_)) {
            *self.taken.entry((id, address)).or_default() += 1;
        }
        outcome
    }
}

fn temper(random: &mut fastrand::Rng) -> Temper {
    match random.u8(..7) {
        0 | 1 => Temper::Good,
        2 => Temper::Moody,
        3 => Temper::Down,
        4 => Temper::Refusing,
        5 => Temper::Unprotected,
        _ => Temper::DownUntil(Timestamp(1_772_445_731_000 + random.i64(..7 * 86_400_000))),
    }
}

fn good(random: &mut fastrand::Rng) -> Outcome {
    let onward = [Onward::Final, Onward::Relayed, Onward::WithDsn][random.usize(..3)];
    Outcome::Delivered(Delivered { onward, host: None, reply: None })
}

fn refused() -> Outcome {
    Outcome::Permanent(Trouble::new(Status::new(5, 1, 1), Reason::Refused, "no such user"))
}

fn down() -> Trouble {
    Trouble::new(Status::new(4, 4, 1), Reason::Unreachable("no answer".into()), "no answer")
}
