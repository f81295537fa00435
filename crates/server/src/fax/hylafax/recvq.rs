//! Faxes that hfaxd has received: listed, fetched, removed.

use anyhow::{Context, Result, bail};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, Server, Session};

/// The longest list that is read, in octets.
const LIST_MAX_OCTETS: u64 = 1024 * 1024;
/// The longest name of a file, in octets.
const NAME_MAX_OCTETS: usize = 128;
/// What the list says of each file: whether it is still being received, its length, when it
/// came, its name.
const FORMAT: &str = "%z|%n|%Y|%f";

/// A file that waits at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its name, in the folder of received faxes.
    pub name: String,
    /// Its length.
    pub octets: u64,
    /// When it came, in the server's words.
    pub came: String,
}

/// A connection for received faxes.
pub struct Recvq<'a> {
    session: Session,
    server: &'a Server<'a>,
}

impl<'a> Recvq<'a> {
    /// Connects and signs in.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses.
    pub async fn open(server: &'a Server<'a>) -> Result<Self> {
        let mut session = Session::open(server).await?;
        let format = format!("RCVFMT \"{FORMAT}\"");
        for command in ["TZONE GMT", "TYPE I", "MODE S", &format] {
            session.ask(command).await?.done(command)?;
        }
        Ok(Self { session, server })
    }

    /// The files that are there whole.
    ///
    /// # Errors
    ///
    /// When the server refuses or breaks off.
    pub async fn list(&mut self) -> Result<Vec<Waiting>> {
        let list = self.read("LIST recvq", LIST_MAX_OCTETS).await?;
        Ok(String::from_utf8_lossy(&list).lines().filter_map(waiting).collect())
    }

    /// The file; of one that is longer than `octets_max`, an error.
    ///
    /// # Errors
    ///
    /// When the server refuses or breaks off, or gives another length than it said.
    pub async fn fetch(&mut self, file: &Waiting, octets_max: u64) -> Result<Vec<u8>> {
        if file.octets > octets_max {
            bail!("{} has {} octets; {octets_max} are the most", file.name, file.octets);
        }
        let octets = self.read(&format!("RETR recvq/{}", file.name), octets_max).await?;
        if octets.len() as u64 != file.octets {
            bail!("{} came with {} of {} octets", file.name, octets.len(), file.octets);
        }
        Ok(octets)
    }

    /// Removes a file, which the server lets administrators do.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn remove(&mut self, file: &Waiting) -> Result<()> {
        if let Some(credentials) = self.server.credentials {
            // Who is none is told so by the next reply.
            let password = super::quoted(credentials.password());
            let _administrator = self.session.ask(&format!("ADMIN {password}")).await?;
        }
        self.session.ask(&format!("DELE recvq/{}", file.name)).await?.done("DELE")?;
        Ok(())
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.session.close().await;
    }

    async fn read(&mut self, command: &str, octets_max: u64) -> Result<Vec<u8>> {
        let data: TcpStream = self.session.passive().await?;
        self.session.ask(command).await?.done(command)?;
        let mut octets = Vec::new();
        let mut limited = data.take(octets_max + 1);
        timeout(PATIENCE * 4, limited.read_to_end(&mut octets)).await??;
        if octets.len() as u64 > octets_max {
            bail!("hfaxd gives more than {octets_max} octets");
        }
        self.session.reply().await.context("the end of a file")?.done(command)?;
        Ok(octets)
    }
}

/// A line of the list; `None` for a file that is not whole, or a name that is none.
fn waiting(line: &str) -> Option<Waiting> {
    let mut fields = line.trim_end().splitn(4, '|');
    let (under_way, octets, came, name) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_name = !name.is_empty()
        && name.len() <= NAME_MAX_OCTETS
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if under_way.contains('*') || !is_name {
        return None;
    }
    let octets = octets.trim().parse().ok()?;
    Some(Waiting { name: name.to_owned(), octets, came: came.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_with_plain_names_are_seen() {
        let file = waiting(" |9370|2026/11/23 07.07.58|fax000000001.tif\r").unwrap();
        assert_eq!((file.octets, file.came.as_str()), (9370, "2026/11/23 07.07.58"));
        assert_eq!(file.name, "fax000000001.tif");
        for line in [
            "*|9370|2026/11/23 07.07.58|fax000000001.tif",
            " |9370|2026/11/23 07.07.58|../etc/hosts.hfaxd",
            " |9370|2026/11/23 07.07.58|.seqf",
            " |many|2026/11/23 07.07.58|fax1.tif",
            " |1|fax1.tif",
            "",
        ] {
            assert_eq!(waiting(line), None, "{line}");
        }
    }
}
