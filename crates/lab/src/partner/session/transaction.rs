//! MAIL, RCPT and the content, by DATA or by BDAT.

use super::{End, Session};
use crate::partner::record::{Message, Outcome, Recipient};
use crate::partner::script::{Act, Protocol, Stage};

/// What MAIL and RCPT said, and the chunks so far.
#[derive(Default)]
pub(super) struct Transaction {
    sender: String,
    parameters: Vec<String>,
    recipients: Vec<Recipient>,
    chunks: Option<Vec<u8>>,
    too_large: bool,
}

impl Session {
    pub(super) async fn mail(
        &mut self,
        sender: String,
        parameters: Vec<String>,
    ) -> Result<(), End> {
        {
            let mut record = self.shared.record();
            record.counters.mail += 1;
            if !self.wire.encrypted() {
                record.counters.mail_in_clear += 1;
            }
        }
        if self.hello.is_none() || self.transaction.is_some() {
            return self.say("503 5.5.1 Bad sequence of commands").await;
        }
        if self.script.sign_in.as_ref().is_some_and(|sign_in| sign_in.required)
            && self.auth.is_none()
        {
            return self.say("530 5.7.0 Sign in first").await;
        }
        if let Some(unknown) = self.not_offered(&parameters, &MAIL_PARAMETERS) {
            return self.say(&format!("555 5.5.4 {unknown} was not offered")).await;
        }
        let declared = parameters.iter().find_map(|parameter| {
            let (keyword, value) = parameter.split_once('=')?;
            if keyword.eq_ignore_ascii_case("SIZE") { value.parse::<usize>().ok() } else { None }
        });
        if declared.is_some_and(|octets| octets > self.script.size()) {
            return self.say("552 5.3.4 Too big").await;
        }
        if self.answer(Stage::Mail, None, "250 2.1.0 Sender noted").await? {
            self.transaction = Some(Transaction { sender, parameters, ..Transaction::default() });
        }
        Ok(())
    }

    pub(super) async fn rcpt(
        &mut self,
        address: String,
        parameters: Vec<String>,
    ) -> Result<(), End> {
        self.shared.record().counters.rcpt += 1;
        let taken = match &self.transaction {
            Some(transaction) if transaction.chunks.is_none() => transaction.recipients.len(),
            Some(_) | None => return self.say("503 5.5.1 Bad sequence of commands").await,
        };
        if let Some(unknown) = self.not_offered(&parameters, &RCPT_PARAMETERS) {
            return self.say(&format!("555 5.5.4 {unknown} was not offered")).await;
        }
        if taken >= self.script.recipients_max {
            return self.say("452 4.5.3 Too many recipients").await;
        }
        if self.answer(Stage::Rcpt, Some(&address), "250 2.1.5 Recipient noted").await?
            && let Some(transaction) = &mut self.transaction
        {
            transaction.recipients.push(Recipient { address, parameters });
        }
        Ok(())
    }

    /// The first parameter whose extension was not offered; noted as the client's mistake.
    fn not_offered(&self, parameters: &[String], known: &[(&str, &str)]) -> Option<String> {
        let unknown = parameters.iter().find(|parameter| {
            let keyword = parameter.split('=').next().unwrap_or_default();
            !known.iter().any(|(name, extension)| {
                name.eq_ignore_ascii_case(keyword)
                    && (self.script.offers(extension)
                        || (*extension == "AUTH" && self.script.sign_in.is_some()))
            })
        })?;
        self.violation(&format!("the parameter {unknown} was used and not offered"));
        Some(unknown.clone())
    }

    pub(super) async fn data(&mut self) -> Result<(), End> {
        let transaction = match &self.transaction {
            Some(transaction) if transaction.chunks.is_some() => {
                return self.say("503 5.5.1 BDAT has begun").await;
            }
            Some(transaction) => transaction,
            None => return self.say("503 5.5.1 Bad sequence of commands").await,
        };
        if transaction.recipients.is_empty() {
            return self.say("554 5.5.1 No valid recipients").await;
        }
        if has_parameter(&transaction.parameters, "BODY=BINARYMIME") {
            self.violation("BINARYMIME content was to come by DATA");
            return self.say("503 5.5.1 BINARYMIME needs BDAT").await;
        }
        if !self.answer(Stage::Data, None, "354 Go ahead").await? {
            return Ok(());
        }
        let mut content = Vec::new();
        let mut too_large = false;
        loop {
            let Some(line) = self.wire.line().await? else {
                self.note('-', "closed by the client within the content");
                return Err(End::Closed);
            };
            if line == b".\r\n" {
                break;
            }
            self.judge(&line);
            let line = line.strip_prefix(b".").unwrap_or(&line);
            too_large |= content.len() + line.len() > self.script.size();
            if !too_large {
                content.extend_from_slice(line);
            }
        }
        self.note('C', &format!("({} octets and a final dot)", content.len()));
        self.complete(content, too_large, false).await
    }

    /// Notes what a line of content does against the rules (RFC 5321 section 2.3.8).
    fn judge(&self, line: &[u8]) {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return self.violation("a bare LF in the content");
        };
        if text.contains(&b'\r') {
            self.violation("a bare CR in the content");
        }
        if text.contains(&0) {
            self.violation("a NUL in the content");
        }
        if line.len() > CONTENT_LINE_MAX_OCTETS + usize::from(text.starts_with(b".")) {
            self.violation("a line of content is longer than 998 octets");
        }
        if !text.is_ascii()
            && let Some(transaction) = &self.transaction
            && !has_parameter(&transaction.parameters, "BODY=8BITMIME")
            && !has_parameter(&transaction.parameters, "SMTPUTF8")
        {
            self.violation("eight-bit content without BODY=8BITMIME");
        }
    }

    pub(super) async fn bdat(&mut self, octets: usize, last: bool) -> Result<(), End> {
        let size = self.script.size();
        let ready =
            self.transaction.as_ref().is_some_and(|transaction| !transaction.recipients.is_empty());
        let first = self.transaction.as_ref().is_some_and(|given| given.chunks.is_none());
        if octets > size {
            self.say("552 5.3.4 Too big").await?;
            return Err(End::Closed);
        }
        let Some(chunk) = self.wire.exactly(octets).await? else {
            self.note('-', "closed by the client within a chunk");
            return Err(End::Closed);
        };
        if !self.script.offers("CHUNKING") {
            self.violation("BDAT was used and not offered");
            return self.say("502 5.5.1 BDAT is not offered").await;
        }
        if !ready {
            return self.say("503 5.5.1 Bad sequence of commands").await;
        }
        if first
            && let Some(act) = self.shared.fault(Stage::Data, None)
            && !self.act(act).await?
        {
            self.transaction = None;
            return Ok(());
        }
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let chunks = transaction.chunks.get_or_insert_default();
        transaction.too_large |= chunks.len() + chunk.len() > size;
        if !transaction.too_large {
            chunks.extend_from_slice(&chunk);
        }
        if last {
            let content = transaction.chunks.take().unwrap_or_default();
            let too_large = transaction.too_large;
            return self.complete(content, too_large, true).await;
        }
        self.say(&format!("250 2.0.0 {octets} octets noted")).await
    }

    /// Keeps the message and tells the client what became of it.
    async fn complete(
        &mut self,
        content: Vec<u8>,
        too_large: bool,
        chunked: bool,
    ) -> Result<(), End> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        let told: Vec<Act> = if too_large {
            vec![Act::Reply("552 5.3.4 Too big".to_owned())]
        } else {
            self.verdicts(&transaction.recipients)
        };
        let outcome = told
            .iter()
            .find(|act| act.is_positive())
            .or_else(|| told.last())
            .map_or(Outcome::Unanswered, Act::outcome);
        self.shared.keep(Message {
            hello: self.hello.clone().unwrap_or_default(),
            sender: transaction.sender,
            sender_parameters: transaction.parameters,
            recipients: transaction.recipients,
            content: content.into(),
            outcome,
            tls: self.tls.clone(),
            auth: self.auth.clone(),
            peer: self.peer,
            connection: self.connection,
            chunked,
        });
        for act in told {
            self.act(act).await?;
        }
        Ok(())
    }

    /// One reply, or in LMTP one for each recipient in its order (RFC 2033 section 4.2).
    fn verdicts(&self, recipients: &[Recipient]) -> Vec<Act> {
        let verdict = |recipient: Option<&str>, proper: String| {
            self.shared.fault(Stage::Content, recipient).unwrap_or(Act::Reply(proper))
        };
        match self.script.protocol {
            Protocol::Smtp => vec![verdict(None, "250 2.0.0 Taken".to_owned())],
            Protocol::Lmtp => recipients
                .iter()
                .map(|recipient| {
                    let address = recipient.address.as_str();
                    verdict(Some(address), format!("250 2.1.5 <{address}> has it"))
                })
                .collect(),
        }
    }
}

fn has_parameter(parameters: &[String], wanted: &str) -> bool {
    parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(wanted))
}

/// Parameters of MAIL and the extensions they belong to.
const MAIL_PARAMETERS: [(&str, &str); 7] = [
    ("SIZE", "SIZE"),
    ("BODY", "8BITMIME"),
    ("SMTPUTF8", "SMTPUTF8"),
    ("RET", "DSN"),
    ("ENVID", "DSN"),
    ("AUTH", "AUTH"),
    ("REQUIRETLS", "REQUIRETLS"),
];
/// Parameters of RCPT and the extensions they belong to.
const RCPT_PARAMETERS: [(&str, &str); 2] = [("NOTIFY", "DSN"), ("ORCPT", "DSN")];

/// Octets of a line of content, its CRLF included (RFC 5321 section 4.5.3.1.6).
const CONTENT_LINE_MAX_OCTETS: usize = 1_000;
