//! Delivery into Maildir folders: `root/domain/local-part/{tmp,new,cur}`.
//!
//! One thread writes, and flushes each folder once for all the messages that
//! came to it together.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mail::envelope::Body as BodyType;
use mail::{Address, Domain, Status, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::content::{Body, Content, PIECE_OCTETS};
use crate::outcome::{Attempt, Cause, Delivered, Onward, Outcome, Trouble};
use crate::route::{Job, MaildirRoute};

/// The most messages that share a flush.
pub const BATCH_MAX: usize = 64;
/// The most messages that wait for the writer; more wait at its door.
const WAITING_MAX: usize = 1_024;

/// The folder of a mailbox below the root: domain and local part in lower case,
/// each octet that is not a letter, a digit or one of `-_+=.` written `%XX`, and
/// so is a dot at the start. No address leads out of the root, and no two to one folder.
pub fn folder_of(address: &Address) -> PathBuf {
    let mut path = PathBuf::from(folder_name(address.domain().as_str()));
    path.push(folder_name(&address.local().to_lowercase()));
    path
}

fn folder_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"-_+=".contains(&byte);
        if plain || (byte == b'.' && at > 0) {
            name.push(char::from(byte));
        } else {
            // Writing to memory cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// The writer and the way to it.
pub(crate) struct Maildirs {
    hello: Domain,
    writer: Mutex<Option<mpsc::Sender<Order>>>,
}

/// One message for one mailbox.
struct Order {
    folder: PathBuf,
    root: PathBuf,
    file_name: String,
    head: String,
    content: Content,
    binary: bool,
    done: oneshot::Sender<io::Result<()>>,
}

impl Maildirs {
    pub(crate) fn new(hello: Domain) -> Self {
        Self { hello, writer: Mutex::new(None) }
    }

    /// Delivers `job` to each of its recipients' mailboxes.
    pub(crate) async fn attempt(
        &self,
        job: &Job,
        route: &MaildirRoute,
        now: fn() -> Timestamp,
    ) -> Attempt {
        let started = now();
        let mut orders = Vec::with_capacity(job.envelope.recipients.len());
        for recipient in &job.envelope.recipients {
            orders.push(self.order(job, route, &recipient.address, started).await);
        }
        let mut outcomes = Vec::with_capacity(orders.len());
        for order in orders {
            let written = match order {
                Ok(done) => done.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
                Err(error) => Err(error),
            };
            outcomes.push(outcome(written, route));
        }
        Attempt::local(LOCAL, started, now(), outcomes)
    }

    async fn order(
        &self,
        job: &Job,
        route: &MaildirRoute,
        address: &Address,
        at: Timestamp,
    ) -> io::Result<oneshot::Receiver<io::Result<()>>> {
        let (done, receiver) = oneshot::channel();
        let return_path = &job.envelope.reverse_path;
        let order = Order {
            folder: route.root.join(folder_of(address)),
            root: route.root.clone(),
            file_name: self.file_name(at, job.content.octets()),
            head: format!("Return-Path: <{return_path}>\r\nDelivered-To: {address}\r\n"),
            content: job.content.clone(),
            binary: job.envelope.body == BodyType::BinaryMime,
            done,
        };
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.writer()?.send(order).await.map_err(gone)?;
        Ok(receiver)
    }

    /// A name that no other delivery has, by time, process and a random number.
    fn file_name(&self, at: Timestamp, octets: u64) -> String {
        let host = self.hello.as_str().replace(['/', ':'], "_");
        let (secs, millis) = (at.0.div_euclid(1_000), at.0.rem_euclid(1_000));
        let process = std::process::id();
        let random = fastrand::u64(..);
        format!("{secs}.M{millis:03}P{process}R{random:016x}.{host},S={octets}")
    }

    fn writer(&self) -> io::Result<mpsc::Sender<Order>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = writer.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let (sender, orders) = mpsc::channel(WAITING_MAX);
        std::thread::Builder::new().name("maildir".to_owned()).spawn(move || write_all(orders))?;
        *writer = Some(sender.clone());
        Ok(sender)
    }
}

const LOCAL: &str = "local";

fn outcome(written: io::Result<()>, route: &MaildirRoute) -> Outcome {
    match written {
        Ok(()) => Outcome::Delivered(Delivered {
            contact: 0,
            host: LOCAL.to_owned(),
            reply: None,
            onward: Onward::Final,
        }),
        Err(error) => {
            let status = match error.kind() {
                io::ErrorKind::StorageFull => Status::new(4, 3, 1),
                io::ErrorKind::QuotaExceeded => Status::new(4, 2, 2),
                _ => Status::new(4, 3, 0),
            };
            let text =
                format!("cannot write to the mailbox under {}: {error}", route.root.display());
            Outcome::Temporary(Trouble::new(status, Cause::Disk, text))
        }
    }
}

/// The writer: takes what waits, writes and flushes each message, moves them into
/// place, flushes each folder once, and only then answers.
fn write_all(mut orders: mpsc::Receiver<Order>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while orders.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let mut moved = Vec::with_capacity(batch.len());
        let mut folders = HashSet::new();
        for order in batch.drain(..) {
            match write_one(&order).and_then(|()| place(&order)) {
                Ok(()) => {
                    folders.insert(order.folder.join("new"));
                    moved.push(order);
                }
                Err(error) => {
                    let _ = fs::remove_file(order.folder.join("tmp").join(&order.file_name));
                    // Who asked may have gone meanwhile.
                    let _ = order.done.send(Err(error));
                }
            }
        }
        let unflushed: HashSet<PathBuf> =
            folders.into_iter().filter(|folder| flush(folder).is_err()).collect();
        for order in moved {
            let flushed = !unflushed.contains(&order.folder.join("new"));
            let failed = || io::Error::other("the folder could not be flushed to disk");
            let _ = order.done.send(if flushed { Ok(()) } else { Err(failed()) });
        }
    }
}

fn write_one(order: &Order) -> io::Result<()> {
    let path = order.folder.join("tmp").join(&order.file_name);
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = match create() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folders(&order.root, &order.folder)?;
            create()?
        }
        other => other?,
    };
    let mut file = LineEnds { inner: BufWriter::new(file), binary: order.binary };
    file.add(order.head.as_bytes())?;
    file.add(order.content.head())?;
    match order.content.body() {
        Body::Memory(body) => file.add(body)?,
        Body::Stored(body) => {
            let mut piece = vec![0; PIECE_OCTETS];
            let mut offset = 0;
            while offset < body.octets() {
                let read = body.read_at(offset, &mut piece)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.add(&piece[..read])?;
                offset += read as u64;
            }
        }
    }
    let file = file.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_data()
}

fn place(order: &Order) -> io::Result<()> {
    let tmp = order.folder.join("tmp").join(&order.file_name);
    fs::rename(tmp, order.folder.join("new").join(&order.file_name))
}

/// Makes the mailbox and every folder above it up to the root, and flushes each.
fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    make_folder(root)?;
    let mut path = root.to_owned();
    for part in folder.strip_prefix(root).unwrap_or(folder) {
        path.push(part);
        make_folder(&path)?;
    }
    for inner in ["tmp", "new", "cur"] {
        make_folder(&folder.join(inner))?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => path.parent().map_or(Ok(()), |parent| {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            flush(parent)
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or(error)?;
            make_folder(parent)?;
            make_folder(path)
        }
        Err(error) => Err(error),
    }
}

fn flush(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes LF for CRLF, as Maildir readers expect; leaves binary content alone.
struct LineEnds {
    inner: BufWriter<File>,
    binary: bool,
}

impl LineEnds {
    /// In clean content a CR stands only before an LF, so every CR goes.
    fn add(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.binary {
            return self.inner.write_all(octets);
        }
        octets.split(|&octet| octet == b'\r').try_for_each(|part| self.inner.write_all(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_leads_out_of_the_root() {
        for (address, folder) in [
            ("Ann@Example.org", "example.org/ann"),
            ("a.b+c@example.org", "example.org/a.b+c"),
            ("\"../../etc\"@example.org", "example.org/%2E.%2F..%2Fetc"),
            ("\"..\"@example.org", "example.org/%2E."),
            ("\".\"@example.org", "example.org/%2E"),
            ("\"a%2e\"@example.org", "example.org/a%252e"),
            ("x@[IPv6:2001:db8::1]", "%5BIPv6%3A2001%3Adb8%3A%3A1%5D/x"),
            ("j\u{f6}rg@example.org", "example.org/j%C3%B6rg"),
        ] {
            assert_eq!(folder_of(&address.parse().unwrap()), PathBuf::from(folder), "{address}");
        }
    }
}
