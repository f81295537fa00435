//! The part for people.

use std::time::Duration;

use super::{
    Action, Notice, REMOTE_TEXT_MAX_CHARS, Reason, RecipientNotice, Shortfall, Status, clean,
};

/// Where lines of text are broken, in characters.
const WRAP_AT: usize = 72;
/// How far what concerns one recipient is indented.
const INDENT: &str = "    ";

/// The first words of the subject: what happened, in its weightiest case.
pub(super) fn subject_prefix(notice: &Notice<'_>) -> &'static str {
    let recipients = notice.recipients();
    let failed = || recipients.iter().filter(|r| r.action == Action::Failed);
    let waiting = |r: &RecipientNotice| matches!(r.action, Action::Delayed { .. });
    if failed().next().is_some() {
        let unprotected = |r: &RecipientNotice| matches!(r.reason, Reason::Protection(_));
        if failed().all(unprotected) { "Not sent" } else { "Not delivered" }
    } else if recipients.iter().any(waiting) {
        "Delayed"
    } else {
        "Delivered"
    }
}

/// The whole text, every line ending in CRLF.
pub(super) fn words(notice: &Notice<'_>, subject: &str) -> String {
    let mut page = Page::default();
    page.paragraph("", opening(notice));
    if !subject.is_empty() {
        page.line(INDENT, &format!("Subject: {subject}"));
    }
    page.line(INDENT, &format!("Accepted: {}", notice.arrival.to_rfc5322()));
    page.gap();
    for recipient in notice.recipients() {
        page.line("", &recipient.recipient.to_string());
        page.gap();
        explain(notice, recipient, &mut page);
    }
    page.line("", "-- ");
    page.paragraph(
        "",
        &format!(
            "This notice was written by the mail server {}. Your administrator can follow the \
             message there under the name {}.",
            notice.reporting_mta, notice.original_id
        ),
    );
    page.text
}

fn opening(notice: &Notice<'_>) -> &'static str {
    match (subject_prefix(notice), notice.recipients().len()) {
        ("Not sent", 1) => "Your message was not sent to this recipient:",
        ("Not sent", _) => "Your message was not sent to these recipients:",
        ("Not delivered", 1) => "Your message was not delivered to this recipient:",
        ("Not delivered", _) if notice.recipients().iter().all(|r| r.action == Action::Failed) => {
            "Your message was not delivered to these recipients:"
        }
        ("Not delivered", _) => "This is what became of your message; not all of it went well:",
        ("Delayed", 1) => {
            "Your message is waiting and has not been delivered to this recipient yet. You need \
             not send it again:"
        }
        ("Delayed", _) => {
            "Your message is waiting and has not been delivered to these recipients yet. You need \
             not send it again:"
        }
        (_, 1) => "Your message has arrived as far as this server can follow it:",
        (_, _) => "Your message has arrived as far as this server can follow it, for each of:",
    }
}

/// What happened to one recipient, why, and what to do.
fn explain(notice: &Notice<'_>, recipient: &RecipientNotice, page: &mut Page) {
    let address = &recipient.recipient;
    let domain = address.domain().to_unicode();
    let waiting = match recipient.action {
        Action::Delayed { retry_until } => Some(retry_until),
        Action::Failed | Action::Delivered | Action::Relayed | Action::Expanded => None,
    };
    match &recipient.reason {
        Reason::Done => page.paragraph(INDENT, &done(recipient.action, address.domain().as_str())),
        Reason::Refused => {
            let (what, advice) = plain(recipient.status, waiting.is_some());
            page.paragraph(INDENT, &format!("{what} {}", tail(advice, waiting.is_some())));
        }
        Reason::Unreachable(what) => {
            let what = clean(what, REMOTE_TEXT_MAX_CHARS);
            page.paragraph(
                INDENT,
                &format!("No mail server of {domain} could be reached: {what}."),
            );
        }
        Reason::NoSuchDomain => page.paragraph(
            INDENT,
            &format!(
                "The domain {domain} does not exist or does not receive mail. Please check the \
                 part of the address after the @."
            ),
        ),
        Reason::Protection(shortfall) => protection(recipient, shortfall, waiting.is_some(), page),
        Reason::Rule(text) => page.paragraph(
            INDENT,
            &format!(
                "A rule of this mail server stopped it: {}. If you think it should have passed, \
                 please ask your administrator.",
                clean(text, REMOTE_TEXT_MAX_CHARS).trim_end_matches('.')
            ),
        ),
        Reason::Expired { after, last } => {
            let given_up = format!("It was tried for {} and has now been given up.", span(*after));
            let last = last.as_deref().map(|last| {
                let last = clean(last, REMOTE_TEXT_MAX_CHARS);
                format!(" The last obstacle: {}.", last.trim_end_matches('.'))
            });
            page.paragraph(INDENT, &(given_up + &last.unwrap_or_default()));
        }
        Reason::Cancelled => page.paragraph(
            INDENT,
            "An administrator of this mail server took it out of the queue. Please ask there \
             before you send it again.",
        ),
        Reason::Other(text) => page.paragraph(INDENT, &clean(text, REMOTE_TEXT_MAX_CHARS)),
    }
    if let Some(reply) = &recipient.reply {
        let who = match &recipient.remote_mta {
            Some(host) => format!("The server {} answered:", clean(host, 255)),
            None => "The receiving server answered:".to_owned(),
        };
        page.paragraph(INDENT, &who);
        page.paragraph("        ", &clean(reply, REMOTE_TEXT_MAX_CHARS));
    }
    if let Some(until) = waiting {
        let left = span(until.since(notice.at));
        page.paragraph(
            INDENT,
            &format!(
                "This server keeps trying until {} ({left} from now) and tells you if it gives up.",
                until.to_rfc5322()
            ),
        );
    }
}

/// Forced encryption that cannot be had, said so that nobody has to know what TLS is.
fn protection(recipient: &RecipientNotice, shortfall: &Shortfall, waiting: bool, page: &mut Page) {
    let domain = shortfall.domain.to_unicode();
    let demanded = clean(&shortfall.demanded, REMOTE_TEXT_MAX_CHARS);
    let demanded_by = clean(&shortfall.demanded_by, REMOTE_TEXT_MAX_CHARS);
    let found = clean(&shortfall.found, REMOTE_TEXT_MAX_CHARS);
    let verb = if waiting { "has not been sent yet" } else { "was not sent" };
    page.paragraph(
        INDENT,
        &format!(
            "Your message to {} {verb} because {domain} could not receive it with the protection \
             that is required. Nothing was sent without that protection.",
            recipient.recipient
        ),
    );
    page.line(INDENT, &format!("Required: {demanded} ({demanded_by})"));
    page.line(INDENT, &format!("Found: {found}"));
    page.gap();
    page.paragraph(
        INDENT,
        if waiting {
            "What you can do: wait, as the fault may pass; ask your administrator to cancel the \
             message; or reach the recipient in another secure way."
        } else {
            "What you can do: reach the recipient in another secure way, or ask whoever runs \
             mail there to offer encrypted connections. Your administrator can tell you who \
             requires the protection and why."
        },
    );
}

fn done(action: Action, domain: &str) -> String {
    match action {
        Action::Delivered => "It was delivered.".to_owned(),
        Action::Relayed => format!(
            "It was passed on to the mail server of {domain}, which sends no confirmation of its own."
        ),
        Action::Expanded => "It was passed on to the members of a list.".to_owned(),
        Action::Failed => "It was not delivered.".to_owned(),
        Action::Delayed { .. } => "It is waiting.".to_owned(),
    }
}

/// What a refusal means and what helps, by its status (RFC 3463 section 3).
fn plain(status: Status, waiting: bool) -> (&'static str, &'static str) {
    match (status.subject, status.detail) {
        (1, 1 | 0 | 6) => {
            ("The receiving server does not know this address.", "Please check its spelling.")
        }
        (1, 2) => ("The recipient's domain cannot be found.", "Please check its spelling."),
        (1, 7 | 8) => {
            ("The receiving server does not accept your sender address.", ASK_ADMINISTRATOR)
        }
        (1, 10) => ("The recipient's domain does not receive mail.", "Please check the address."),
        (2, 1) => ("The recipient's mailbox is closed.", "Please reach the recipient otherwise."),
        (2, 2) => ("The recipient's mailbox is full.", "Please tell the recipient otherwise."),
        (2, 3) | (3, 4) => {
            ("The message is too large for the receiving server.", "Please send it in parts.")
        }
        (3, _) if waiting => ("The receiving server is busy or out of order.", ""),
        (3, _) => ("The receiving server could not take the message.", ASK_ADMINISTRATOR),
        (4, 6) => ("The message went round in a circle between servers.", ASK_ADMINISTRATOR),
        (4, _) => ("The receiving server could not be reached.", ASK_ADMINISTRATOR),
        (6, 7) => {
            ("The receiving server cannot take an address with these letters.", ASK_ADMINISTRATOR)
        }
        (6, _) => ("The receiving server cannot take the form of the message.", ASK_ADMINISTRATOR),
        (7, _) if waiting => {
            ("The receiving server does not take the message now, as its rules have it.", "")
        }
        (7, _) => {
            ("The rules of the receiving server do not let the message in.", ASK_ADMINISTRATOR)
        }
        (_, _) if waiting => ("The receiving server asked to wait.", ""),
        (_, _) => ("The receiving server refused the message.", ASK_ADMINISTRATOR),
    }
}

const ASK_ADMINISTRATOR: &str = "Its answer below may help your administrator.";

/// Advice is for failures; who waits need do nothing.
fn tail(advice: &'static str, waiting: bool) -> &'static str {
    if waiting { "" } else { advice }
}

/// A span of time as people say it: `4 hours`, `2 days`.
fn span(duration: Duration) -> String {
    let minutes = duration.as_secs().div_ceil(60);
    let (count, unit) = match minutes {
        0..=119 => (minutes, "minute"),
        120..=2_879 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// One line, wrapped under itself, without a gap after it.
    fn line(&mut self, indent: &str, line: &str) {
        if line == "-- " {
            self.text.push_str("-- \r\n");
            return;
        }
        let mut column = 0;
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            let width = word.chars().count();
            if column == 0 {
                self.text.push_str(indent);
            } else if column + 1 + width > WRAP_AT {
                self.text.push_str("\r\n");
                self.text.push_str(indent);
                column = 0;
            } else {
                self.text.push(' ');
                column += 1;
            }
            if column == 0 {
                column = indent.len();
            }
            self.text.push_str(word);
            column += width;
        }
        self.text.push_str("\r\n");
    }

    fn paragraph(&mut self, indent: &str, paragraph: &str) {
        self.line(indent, paragraph);
        self.gap();
    }

    fn gap(&mut self) {
        self.text.push_str("\r\n");
    }
}
