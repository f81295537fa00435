//! Writes what may be written a moment later, many changes at a time.

use flow::ban::Change;
use flow::{Ban, CounterRow};
use mail::Timestamp;
use store::{FlowKind, FlowRow, Store};
use tokio::sync::mpsc;

/// Changes that wait to be written; beyond them a change is in memory only.
const WAITING_MAX: usize = 4_096;
/// Changes written at once.
const BATCH_MAX: usize = 512;

/// The way to the task that writes.
pub(super) struct Keeper(mpsc::Sender<Item>);

enum Item {
    Ban { kept: Option<FlowRow>, gone: Vec<String> },
    Counter(FlowRow),
}

impl Keeper {
    /// Starts the task; it ends when the keeper is dropped and everything is written.
    pub(super) fn start(store: Store) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(store, receiver));
        Self(sender)
    }

    pub(super) fn bans(&self, change: &Change) {
        if change.kept.is_none() && change.gone.is_empty() {
            return;
        }
        let gone = change.gone.iter().map(ToString::to_string).collect();
        self.send(Item::Ban { kept: change.kept.as_ref().map(ban_row), gone });
    }

    pub(super) fn counters(&self, rows: Vec<CounterRow>) {
        for row in rows {
            self.send(Item::Counter(counter_row(row)));
        }
    }

    fn send(&self, item: Item) {
        if self.0.try_send(item).is_err() {
            tracing::warn!("too much to keep at once: a ban or counter is in memory only");
        }
    }
}

async fn write(store: Store, mut receiver: mpsc::Receiver<Item>) {
    let mut items = Vec::new();
    while receiver.recv_many(&mut items, BATCH_MAX).await > 0 {
        let (mut bans, mut gone, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        for item in items.drain(..) {
            match item {
                Item::Ban { kept, gone: more } => {
                    gone.extend(more);
                    if let Some(row) = kept {
                        gone.retain(|name| *name != row.name);
                        bans.push(row);
                    }
                }
                Item::Counter(row) => counters.push(row),
            }
        }
        let now = Timestamp::now();
        if !(bans.is_empty() && gone.is_empty())
            && let Err(error) = store.put_flow(FlowKind::Ban, bans, gone, now).await
        {
            tracing::error!(%error, "bans were not kept");
        }
        if !counters.is_empty()
            && let Err(error) = store.put_flow(FlowKind::Quota, counters, Vec::new(), now).await
        {
            tracing::error!(%error, "counters were not kept");
        }
    }
}

pub(super) fn ban_row(ban: &Ban) -> FlowRow {
    let flow::BanRow { name, until, row } = ban.row();
    FlowRow { name, until, row }
}

pub(super) fn counter_row(row: CounterRow) -> FlowRow {
    FlowRow { name: row.name, until: Some(row.until), row: row.row }
}
