//! Faxes that come in: fetched from HylaFAX, or received by T.38, given as mail with a PDF of the pages to who has
//! the number.
//!
//! That a file was taken is written down in the transaction that accepts its mail, so a crash
//! at any place neither loses a fax nor gives it twice. From there it is mail like any other,
//! and what is demanded of the way to its recipient holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use config::model::{FaxAccount, FaxInbound, FaxSource};
use evidence::{Digest, Origin};
use fax::inbound::{Arrival, Table, Way};
use mail::{Address, DsnReturn, Notify, ReversePath, Timestamp};
use pages::Trouble;
use pages::scan::Scan;
use store::{FaxFile, FaxTaken};

use super::hylafax;
use super::hylafax::recvq::{Recvq, Waiting};
use crate::admin::Admin;
use crate::letter::{Attachment, Letter, Sending};
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The longest sleep between two looks at what is to be fetched.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// Files taken in one look; the others come with the next.
const TAKEN_MAX: usize = 100;
/// The largest file, in octets.
const FILE_MAX_OCTETS: u64 = 64 * 1024 * 1024;
/// How long it is known that a file was taken after it is gone from its server.
pub const KNOWN_FOR: Duration = Duration::from_secs(400 * 24 * 3_600);

/// Looks for faxes that have come in, until the server is gone.
pub fn tend(server: &Arc<Server>) {
    let server = Arc::downgrade(server);
    tokio::spawn(async move {
        let mut looked: HashMap<String, Instant> = HashMap::new();
        loop {
            let Some(server) = server.upgrade() else { return };
            if *server.stopping().borrow() {
                return;
            }
            let snapshot = server.snapshot();
            let mut sleep = SLEEP_MAX;
            looked.retain(|name, _| snapshot.config.fax_account(name).is_some());
            for account in &snapshot.config.fax_accounts {
                let Some(inbound) = &account.inbound else { continue };
                let FaxSource::Hylafax { every, .. } = &*inbound.source else { continue };
                sleep = sleep.min(*every);
                let last = looked.get(&account.name.value);
                if last.is_some_and(|last| last.elapsed() < *every) {
                    continue;
                }
                if let Err(error) = look(&server, &snapshot, account, inbound).await {
                    let account = &account.name.value;
                    tracing::warn!(account, error = format!("{error:#}"), "no faxes are fetched");
                }
                looked.insert(account.name.value.clone(), Instant::now());
            }
            drop((server, snapshot));
            tokio::time::sleep(sleep).await;
        }
    });
}

/// Takes what has come.
async fn look(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    account: &FaxAccount,
    inbound: &FaxInbound,
) -> Result<()> {
    let place = inbound.source.to_string();
    let FaxSource::Hylafax { server: target, credentials, called, caller, deletes, .. } =
        &*inbound.source
    else {
        return Ok(());
    };
    let hfaxd = hylafax::Server::find(snapshot, target, credentials.as_deref()).await?;
    let mut recvq = Recvq::open(&hfaxd).await?;
    let waiting = recvq.list().await?;
    let mut taken = 0;
    for waits in &waiting {
        let mark = format!("{} {}", waits.came, waits.octets);
        let file = FaxFile { server: place.clone(), name: waits.name.clone(), mark };
        if !server.store.is_fax_taken(&file).await? {
            if taken >= TAKEN_MAX {
                break;
            }
            taken += 1;
            let octets = recvq.fetch(waits, FILE_MAX_OCTETS).await?;
            let scan = pages::scan::read(&octets);
            let description = scan.as_ref().map_or("", |scan| scan.description.as_str());
            let arrival = Arrival::read(description, *called, *caller, &account.plan);
            let came = Came { file, arrival, octets: &octets, scan, remark: None };
            take(server, snapshot, account, inbound, came).await?;
        }
        if *deletes {
            recvq.remove(waits).await?;
        }
    }
    recvq.close().await;
    let now = Timestamp::now();
    let kept = i64::try_from(KNOWN_FOR.as_millis()).unwrap_or(i64::MAX);
    let there = waiting.into_iter().map(|waits: Waiting| waits.name).collect();
    server.store.forget_taken_faxes(&place, Timestamp(now.0 - kept), there).await?.into_inner();
    Ok(())
}

/// A fax that has come.
pub struct Came<'a> {
    /// The file, for good.
    pub file: FaxFile,
    /// What the line told of it.
    pub arrival: Arrival,
    /// The pages, as TIFF.
    pub octets: &'a [u8],
    /// The same, taken apart.
    pub scan: Result<Scan<'a>, Trouble>,
    /// What its receiver should know of it.
    pub remark: Option<String>,
}

/// Makes a mail of a file and keeps it, unless the file was taken meanwhile.
///
/// # Errors
///
/// When it could not be kept; then it was not taken.
pub async fn take(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    account: &FaxAccount,
    inbound: &FaxInbound,
    came: Came<'_>,
) -> Result<()> {
    let at = Timestamp::now();
    let Came { file, arrival, octets, scan, remark } = came;
    let owners = account.users.iter();
    let table = Table {
        junk: &inbound.junk,
        routes: &inbound.routes,
        owners: owners.filter_map(|user| Some((user.number.as_ref()?, &user.address))).collect(),
        catch_all: &inbound.catch_all,
    };
    let way = table.way(&arrival);
    // A file that cannot be taken apart is given as it came: nothing is lost.
    let attachment = match &scan {
        Ok(scan) => Attachment {
            name: named(&file.name, "pdf"),
            kind: "application/pdf",
            octets: pages::paper::write(scan),
        },
        Err(_) => Attachment {
            name: named(&file.name, "tif"),
            kind: "image/tiff",
            octets: octets.to_vec(),
        },
    };
    let seen = Seen {
        arrival: &arrival,
        file: &file,
        pages: scan.as_ref().map(|scan| scan.pages.len()),
        way,
        remark: remark.as_deref(),
    };
    let letter = match way.to() {
        Some(to) => Some(seen.letter(snapshot, account, to, attachment)?),
        None => None,
    };
    let trace = letter.as_ref().map(|letter| letter.trace);
    let postmaster = &snapshot.config.postmaster.value;
    let post = |letter: Letter| {
        let told = [&inbound.catch_all, postmaster].into_iter().find(|a| !letter.to.contains(a));
        letter.post(server, snapshot, returning(told))
    };
    let mail = letter.map(post).transpose()?;
    let has_mail = mail.is_some();
    let subject = format!("{} for {}", file.name, account.name.value);
    let detail = seen.detail(&Digest::of(octets));
    let evidence = Admin::of(server).act(trace, "fax received", subject, Some(detail.clone()));
    let name = file.name.clone();
    if server.store.take_fax(FaxTaken { file, at, mail, evidence }).await?.into_inner() {
        let account = &account.name.value;
        tracing::info!(account, file = name, "a fax has come: {detail}");
        if has_mail {
            server.dispatcher.wake();
        }
    }
    Ok(())
}

/// A fax that cannot be delivered comes back to someone: nobody else has its pages.
fn returning(told: Option<&Address>) -> Sending {
    Sending {
        reverse_path: told.cloned().map_or(ReversePath::Null, ReversePath::Address),
        notify: Notify::default(),
        dsn_return: Some(DsnReturn::Full),
        envid: None,
        gives_up: None,
    }
}

/// `fax000000001.tif` with another ending.
fn named(file: &str, ending: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    format!("{stem}.{ending}")
}

/// What is known of a fax that came.
struct Seen<'a> {
    arrival: &'a Arrival,
    file: &'a FaxFile,
    pages: Result<usize, &'a Trouble>,
    way: Way<'a>,
    remark: Option<&'a str>,
}

impl Seen<'_> {
    fn caller(&self) -> String {
        match &self.arrival.caller {
            Some(caller) => caller.to_string(),
            None => "an unknown number".to_owned(),
        }
    }

    fn called(&self) -> String {
        match &self.arrival.called {
            Some(called) => called.to_string(),
            None => "a number the line did not tell".to_owned(),
        }
    }

    fn detail(&self, sha256: &Digest) -> String {
        let to = self.way.to().map_or_else(|| "nobody".to_owned(), Address::to_string);
        let (caller, called) = (self.caller(), self.called());
        let because = self.way.because();
        let remark = self.remark.map(|remark| format!("; {remark}")).unwrap_or_default();
        format!("from {caller} to {called}, given to {to}: {because}{remark}; SHA-256 {sha256}")
    }

    fn letter(
        &self,
        snapshot: &Snapshot,
        account: &FaxAccount,
        to: &Address,
        attachment: Attachment,
    ) -> Result<Letter> {
        let mut text = format!("A fax has come from {}.\r\n\r\n", self.caller());
        for (name, value) in [
            ("Called", self.called()),
            ("Caller's name", plain(&self.arrival.station)),
            ("Pages", self.pages.map_or_else(|_| "unknown".to_owned(), |n| n.to_string())),
            ("Given to you", self.way.because().to_owned()),
            ("For", account.organisation.value.clone()),
            ("File", format!("{} at {}", self.file.name, self.file.server)),
            ("Came", self.file.mark.clone()),
        ] {
            text.push_str(&format!("{name:<16} {value}\r\n"));
        }
        if let Some(remark) = self.remark {
            text.push_str(&format!("\r\nIt may be incomplete: {remark}.\r\n"));
        }
        if let Err(trouble) = self.pages {
            text.push_str(&format!(
                "\r\nNo PDF could be made of the file, so it is attached as it came: {trouble}.\r\n"
            ));
        }
        // Who may not name a subject does not name the caller either.
        let subject = if *account.shows_subject {
            format!("Fax from {}", self.caller())
        } else {
            "A fax has come".to_owned()
        };
        let domain = account.domains.first().map(|domain| domain.value.clone());
        let from = domain
            .and_then(|domain| Address::new("fax", domain).ok())
            .unwrap_or_else(|| snapshot.config.postmaster.value.clone());
        let by = format!("{}, file {}", self.file.server, self.file.name);
        let from = ("Fax service", &from);
        let letter = Letter::plain(snapshot, Origin::Injected { by }, from, to, &subject, &text)?;
        letter.with(attachment)
    }
}

/// A text from a stranger, short and without controls.
fn plain(text: &str) -> String {
    /// T.30 has room for 20 characters.
    const CHARS_MAX: usize = 40;
    text.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}
