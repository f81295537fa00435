//! An accepted message becomes faxes, one for each recipient.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use config::model::FaxAccount;
use delivery::{Attempt, Cause, Delivered, Onward, Outcome, Trouble};
use evidence::Digest;
use fax::work::{Fields, Request};
use fax::{Cover, Job, Language, Options, Paper, Recipient as FaxRecipient, Resolution, State};
use mail::header::Header;
use mail::{Address, Recipient, Status, Timestamp, TraceId};
use store::{FaxRow, Likeness};

use super::draw::{self, Drawn, Remarks, Tools};
use super::quota;
use super::record::{self, Fax, Record};
use crate::conversation::reached_in_words;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// How long a fax waits for a line before it is given up.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// How long the same message, sent again, is no other fax.
const LIKE_FOR: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// The name of the fax service in traces.
const HOST: &str = "fax";
/// The longest name or subject printed, in characters.
const PRINTED_MAX_CHARS: usize = 120;

/// A message to be faxed.
pub struct Order<'a> {
    /// Its name.
    pub trace: TraceId,
    /// When it came.
    pub received: Timestamp,
    /// Its sender.
    pub sender: &'a Address,
    /// The account.
    pub account: &'a FaxAccount,
    /// The recipients, all of that account.
    pub recipients: &'a [Recipient],
    /// The message.
    pub content: Vec<u8>,
}

/// One recipient whose fax can be drawn.
struct Wanted {
    place: usize,
    to: FaxRecipient,
    options: Options,
    fields: Fields,
}

/// Makes the faxes of a message and keeps them; the outcome of each recipient says whether
/// there is one. What fails for a while is tried again as mail is.
pub async fn make(server: &Arc<Server>, snapshot: &Snapshot, order: Order<'_>) -> Attempt {
    let started = Timestamp::now();
    let untouched = trouble(Status::new(4, 3, 0), Cause::Content, "the fax was not made");
    let mut outcomes = vec![Outcome::Temporary(untouched); order.recipients.len()];
    if let Err(error) = make_all(server, snapshot, &order, &mut outcomes).await {
        tracing::error!(id = %order.trace, error = format!("{error:#}"), "faxes were not made");
    }
    server.faxes.wake();
    Attempt::local(HOST, started, Timestamp::now(), outcomes)
}

async fn make_all(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    order: &Order<'_>,
    outcomes: &mut [Outcome],
) -> Result<()> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let header = Header::scan(&order.content)?;
    for (place, recipient) in order.recipients.iter().enumerate() {
        if server.store.fax_exists(order.trace, &recipient.address.to_string()).await? {
            outcomes[place] = made();
            continue;
        }
        if let Some(like) = likeness(order, &header, &recipient.address)
            && let Some(earlier) = server.store.fax_like(like).await?
        {
            note_again(server, order.trace, earlier).await?;
            outcomes[place] = made();
            continue;
        }
        match want(order, &header, place, &recipient.address) {
            Ok(one) => wanted.push(one),
            Err(why) => {
                outcomes[place] =
                    Outcome::Permanent(trouble(Status::new(5, 1, 1), Cause::Content, &why));
            }
        }
    }
    // What looks the same is drawn once.
    while let Some(first) = wanted.first() {
        let same = first.options.clone();
        let (batch, rest): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|one| look(&one.options) == look(&same));
        wanted = rest;
        let request = request(order.account, &same, batch.iter().map(|one| one.fields.clone()));
        let tools = Tools { fonts: &order.account.fonts, office: order.account.office.as_deref() };
        match draw::draw(&request, &tools, order.content.clone()).await? {
            draw::Outcome::Refused(why) => {
                let why = format!("The message cannot be faxed: {why}");
                for one in &batch {
                    let trouble = trouble(Status::new(5, 6, 1), Cause::Content, &why);
                    outcomes[one.place] = Outcome::Permanent(trouble);
                }
            }
            draw::Outcome::Drawn(drawn, remarks) => {
                let mut room = Vec::new();
                for one in batch.into_iter().zip(drawn) {
                    match charge(server, snapshot, order, one.1.pages).await? {
                        Ok(()) => room.push(one),
                        Err(trouble) => outcomes[one.0.place] = Outcome::Permanent(trouble),
                    }
                }
                let places: Vec<usize> = room.iter().map(|(one, _)| one.place).collect();
                keep(server, snapshot, order, &header, room, &remarks).await?;
                for place in places {
                    outcomes[place] = made();
                }
            }
        }
    }
    Ok(())
}

/// What decides how pages look.
fn look(options: &Options) -> (Option<Cover>, Option<Resolution>, Option<Paper>, Option<Language>) {
    (options.cover, options.resolution, options.paper, options.language)
}

fn made() -> Outcome {
    Outcome::Delivered(Delivered {
        contact: 0,
        host: HOST.to_owned(),
        reply: None,
        // It is on its way, no more: the notices of the fax service tell how it ended.
        onward: Onward::Relayed,
    })
}

/// Writes down that a message is the fax of an earlier one.
async fn note_again(server: &Arc<Server>, message: TraceId, earlier: TraceId) -> Result<()> {
    tracing::info!(id = %message, fax = %earlier, "a message to be faxed came twice");
    if let Some(fax) = Fax::find(server, earlier).await?
        && server.keeps_evidence()
    {
        let entry = fax.came_again(message, Timestamp::now());
        server.store.append_evidence(vec![entry]).await?.into_inner();
    }
    Ok(())
}

/// What the fax has in common with one of the same message, sent twice by a program that
/// lost the reply: its Message-ID, sender, recipient and body. Nothing where it has no name.
fn likeness(order: &Order<'_>, header: &Header<'_>, recipient: &Address) -> Option<Likeness> {
    let name = header.first("Message-ID")?.text();
    let body = order.content.get(header.as_bytes().len()..)?;
    let mut octets = Vec::with_capacity(body.len() + name.len() + 256);
    let account = &order.account.name.value;
    for part in [&name, account, &order.sender.to_key(), &recipient.to_string()] {
        octets.extend((part.len() as u64).to_be_bytes());
        octets.extend(part.as_bytes());
    }
    octets.extend(body);
    let since = Timestamp(order.received.0.saturating_sub(LIKE_FOR.as_millis() as i64));
    Some(Likeness { digest: *Digest::of(&octets).as_bytes(), since })
}

fn trouble(status: Status, cause: Cause, text: &str) -> Trouble {
    Trouble::new(status, cause, text)
}

/// What a recipient's fax should be: the nearer word wins, from the address over the subject
/// and the header to the user and the account.
fn want(
    order: &Order<'_>,
    header: &Header<'_>,
    place: usize,
    address: &Address,
) -> Result<Wanted, String> {
    let account = order.account;
    let to = FaxRecipient::read(address.local(), &account.plan).map_err(|e| e.to_string())?;
    let mut in_subject = Options::default();
    let subject =
        in_subject.take_from_subject(&header.subject()).map_err(|error| error.to_string())?;
    let mut in_header = Options::default();
    for field in header.fields() {
        in_header
            .take_from_field(field.name(), &field.text())
            .map_err(|error| error.to_string())?;
    }
    let user = account.user(order.sender);
    let mut options = to.options.clone().or(&in_subject).or(&in_header);
    if let Some(user) = user {
        options = options.or(&user.defaults);
    }
    options = options.or(&account.defaults);
    let caller = user.and_then(|user| user.number.as_ref()).unwrap_or(&account.main_number);
    let name = options.name.clone().or_else(|| display_name(header, address));
    let shows_subject = *account.shows_subject;
    let fields = Fields {
        to: printed(&name.unwrap_or_default()),
        company: options.company.clone().unwrap_or_default(),
        number: to.number.to_string(),
        from: printed(&header.first("From").map(|from| from.text()).unwrap_or_default()),
        organisation: account.organisation.value.clone(),
        from_number: caller.to_string(),
        date: date(order.received),
        pages: String::new(),
        subject: if shows_subject { printed(&subject) } else { String::new() },
        billing: options.billing.clone().unwrap_or_default(),
        notice: account.confidentiality.as_ref().map(|t| t.value.clone()).unwrap_or_default(),
    };
    Ok(Wanted { place, to, options, fields })
}

fn request(
    account: &FaxAccount,
    options: &Options,
    recipients: impl Iterator<Item = Fields>,
) -> Request {
    let language = options.language.unwrap_or(Language::En);
    Request {
        resolution: options.resolution.unwrap_or(Resolution::Fine),
        paper: options.paper.unwrap_or(Paper::A4),
        cover: options.cover.unwrap_or(Cover::Text),
        language,
        template: account.cover_template(language).map(str::to_owned),
        pages_max: *account.pages_max as usize,
        leaves_out: *account.leaves_out,
        // A file's name says as much as a subject.
        names_left_out: *account.shows_subject,
        without: Vec::new(),
        recipients: recipients.collect(),
    }
}

/// Counts the pages of one fax. Should it not be kept after all, because a disk is full or
/// the server is killed, they count once too often and never once too seldom.
async fn charge(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    order: &Order<'_>,
    pages: u32,
) -> Result<Result<(), Trouble>> {
    let now = Timestamp::now();
    let faxing = quota::Faxing { from: order.sender, account: &order.account.name.value };
    match quota::take_pages(server, snapshot, faxing, pages.into(), now) {
        Ok(taken) => {
            server.guard.keep(&taken, now).await?;
            Ok(Ok(()))
        }
        Err(reached) => {
            let why = reached_in_words(&reached, now);
            let text = format!("The fax has {pages} pages and was not sent: {why}");
            Ok(Err(trouble(Status::new(5, 7, 1), Cause::Content, &text)))
        }
    }
}

/// Writes the files, then the rows: a row never names a file that is not on the disk.
async fn keep(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    order: &Order<'_>,
    header: &Header<'_>,
    batch: Vec<(Wanted, Drawn)>,
    remarks: &Remarks,
) -> Result<()> {
    let now = Timestamp::now();
    let account = order.account;
    let mut rows = Vec::with_capacity(batch.len());
    let mut ids = Vec::with_capacity(batch.len());
    for (one, Drawn { pages, tiff }) in batch {
        let id = TraceId::generate(now.0);
        let sha256 = Digest::of(&tiff);
        let file = record::file(server.data(), id);
        tokio::task::spawn_blocking(move || write_file(&file, &tiff)).await??;
        let caller = account
            .user(order.sender)
            .and_then(|user| user.number.clone())
            .unwrap_or_else(|| account.main_number.clone());
        let record = Record {
            job: Job::new(pages, now, LIFETIME),
            sender: order.sender.clone(),
            subject: Some(one.fields.subject).filter(|subject| !subject.is_empty()),
            options: one.options,
            caller,
            sha256,
            transport_id: None,
            line: None,
            first_page: None,
            down: Vec::new(),
            report_secret: None,
            ended: None,
            pages_removed: None,
            missing: remarks.missing.clone(),
            left_out: remarks.left_out.clone(),
        };
        let row = FaxRow {
            id,
            message: order.trace,
            recipient: order.recipients[one.place].address.to_string(),
            account: account.name.value.clone(),
            number: one.to.number.to_string(),
            state: State::Queued { due: now }.word().to_owned(),
            due: Some(now),
            created: now,
            row: serde_json::to_vec(&record)?,
        };
        let likeness = likeness(order, header, &order.recipients[one.place].address);
        ids.push(row.id);
        rows.push(Fax { row, record }.new_row(server, snapshot, likeness, now).await?);
    }
    let made = server.store.add_faxes(rows).await?.into_inner();
    // Another of the same message was quicker.
    for (id, _) in ids.into_iter().zip(made).filter(|(_, made)| !made) {
        tokio::fs::remove_file(record::file(server.data(), id)).await?;
    }
    server.dispatcher.wake();
    Ok(())
}

/// Writes a file so that after a crash it is there whole or not at all.
pub fn write_file(path: &Path, octets: &[u8]) -> Result<()> {
    let folder = path.parent().context("the file is in no folder")?;
    std::fs::create_dir_all(folder)?;
    let unfinished = path.with_extension("new");
    let mut file = std::fs::File::create(&unfinished)
        .with_context(|| format!("{} cannot be written", unfinished.display()))?;
    file.write_all(octets)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// The name that To or Cc gives the recipient: `"Anne Anderson" <2025550100@fax.example>`.
fn display_name(header: &Header<'_>, address: &Address) -> Option<String> {
    let wanted = address.to_key();
    let fields = header.all("To").chain(header.all("Cc"));
    for field in fields {
        let text = field.text();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('<') {
            let (inside, next) = after.split_once('>')?;
            let is_it = Address::parse(inside.trim()).is_ok_and(|a| a.to_key() == wanted);
            if is_it {
                let name = before.rsplit(',').next().unwrap_or(before);
                let name = name.trim().trim_matches('"').trim();
                return (!name.is_empty()).then(|| name.to_owned());
            }
            rest = next;
        }
    }
    None
}

fn printed(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let text: String = plain.take(PRINTED_MAX_CHARS).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `2026-03-02 10:02 UTC`.
fn date(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    let minutes: String = text.chars().take(16).collect();
    format!("{} UTC", minutes.replace('T', " "))
}
