//! The queue in a world made up from a seed.

mod world;

use std::collections::BTreeMap;

use mail::dsn::Action;
use mail::{Address, ReversePath};
use store::Ending;
use world::disk::{Queue, Record};
use world::{LIFETIME, RETRY_MAX, World};

const SEEDS: u64 = 150;

#[test]
fn every_promised_message_reaches_exactly_one_final_outcome() {
    for seed in 0..SEEDS {
        let world = played(seed);
        for &id in &world.promised {
            let received = world.queue.received.get(&id).unwrap_or_else(|| panic!("lost {id}"));
            let endings = world.endings(id);
            assert!(!endings.is_empty(), "message {id}, seed {seed}");
            for (recipient, endings) in endings {
                let [(ended, _)] = endings[..] else {
                    panic!("{recipient} of message {id}, seed {seed}: {endings:?}")
                };
                let took = ended.since(*received);
                assert!(took <= LIFETIME + RETRY_MAX, "message {id}, seed {seed}: {took:?}");
            }
        }
        assert_eq!(world.queue, Queue::replay(&world.disk), "seed {seed}");
    }
}

#[test]
fn what_ended_as_passed_on_reached_its_host_and_twice_only_after_a_power_failure() {
    for seed in 0..SEEDS {
        let world = played(seed);
        for (&id, recipients) in &world.queue.endings {
            for (recipient, endings) in recipients {
                let taken = world.peers.taken.get(&(id, recipient.clone())).copied().unwrap_or(0);
                let passed = endings
                    .iter()
                    .any(|(_, ending)| matches!(ending, Ending::Delivered | Ending::Relayed));
                assert!(!passed || taken >= 1, "{recipient} of message {id}, seed {seed}");
            }
        }
        let extra: usize = world.peers.taken.values().map(|&taken| taken - 1).sum();
        assert!(world.gaps > 0 || extra == 0, "seed {seed}: {extra} duplicates without a cause");
    }
}

#[test]
fn a_sender_is_told_once_of_each_failure_it_asked_for_and_at_most_twice_of_a_delay() {
    for seed in 0..SEEDS {
        let world = played(seed);
        let mut told: BTreeMap<(u64, Address), (usize, usize, usize)> = BTreeMap::new();
        let mut senders = BTreeMap::new();
        for record in world.disk.records() {
            match record {
                Record::Accepted(accepted) => {
                    senders.insert(accepted.id, accepted.reverse_path.clone());
                }
                Record::Settled { id, made, notices, .. } => {
                    assert_eq!(made.notices.len(), notices.len());
                    for notice in notices {
                        senders.insert(notice.id, ReversePath::Null);
                    }
                    for notice in made.notices.iter().flat_map(|notice| &notice.recipients) {
                        let counts = told.entry((*id, notice.recipient.clone())).or_default();
                        match notice.action {
                            Action::Failed => counts.0 += 1,
                            Action::Delayed { .. } => counts.1 += 1,
                            Action::Delivered | Action::Relayed | Action::Expanded => counts.2 += 1,
                        }
                    }
                    for ended in &made.ended {
                        let recipient = &ended.recipient.recipient;
                        let key = (*id, recipient.address.clone());
                        let (failed, delayed, succeeded) =
                            told.get(&key).copied().unwrap_or_default();
                        let has_sender = senders[id] != ReversePath::Null;
                        let bounced = ended.ending == Ending::Bounced;
                        if has_sender {
                            let due = usize::from(bounced && recipient.notify.failure);
                            assert_eq!(failed, due, "seed {seed}: {key:?}");
                        }
                        assert!(failed <= usize::from(bounced), "seed {seed}: {key:?}");
                        assert!(delayed <= 2 * usize::from(recipient.notify.delay));
                        assert!(succeeded <= usize::from(!bounced && recipient.notify.success));
                    }
                }
            }
        }
    }
}

fn played(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..20 {
        world.accept();
        world.attempt();
    }
    world.run_until_quiet();
    world
}
