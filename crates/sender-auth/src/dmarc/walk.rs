//! Up the tree of DNS to the organization that a domain belongs to (RFC 9989 section 4.10).

use std::collections::HashMap;

use super::Record;
use super::record::Alignment;
use crate::name::{askable, is_within};
use crate::{Dns, Lack, Question};

/// A longer name is asked about itself, and then cut to one label less than this
/// (RFC 9989 section 4.10); so one walk asks at most this many questions.
pub const LABELS_MAX: usize = 8;

/// Policies found so far. Each name is asked about once.
pub struct Walk<'a> {
    dns: &'a dyn Dns,
    known: HashMap<String, Option<Record>>,
    /// What the policy in force says about trying.
    testing: bool,
    percent: u8,
}

impl<'a> Walk<'a> {
    /// A walk that has not begun.
    pub fn new(dns: &'a dyn Dns) -> Self {
        Self { dns, known: HashMap::new(), testing: false, percent: 100 }
    }

    pub(super) fn dns(&self) -> &'a dyn Dns {
        self.dns
    }

    pub(super) fn testing(&self) -> bool {
        self.testing
    }

    pub(super) fn percent(&self) -> u8 {
        self.percent
    }

    /// The policy for `domain` and where it was found: at the domain itself, at its
    /// organization, or at the public suffix above it (RFC 9989 section 4.10.1).
    ///
    /// # Errors
    ///
    /// What DNS failed to say.
    pub async fn policy(&mut self, domain: &str) -> Result<Option<(String, Record)>, String> {
        let mut places = vec![domain.to_owned()];
        if self.at(domain).await?.is_none() {
            places.push(self.organization(domain).await?);
            places.extend(self.public_suffix(domain).await?);
        }
        for place in places {
            if let Some(record) = self.at(&place).await? {
                self.testing = record.is_testing;
                self.percent = record.percent;
                return Ok(Some((place, record)));
            }
        }
        Ok(None)
    }

    /// The domain that an organization registered, above `domain` or it itself
    /// (RFC 9989 section 4.10.2).
    ///
    /// # Errors
    ///
    /// What DNS failed to say.
    pub async fn organization(&mut self, domain: &str) -> Result<String, String> {
        let mut highest = None;
        for place in steps(domain) {
            let record = self.at(&place).await?;
            match record.map(|record| record.is_public_suffix) {
                Some(Some(true)) if place != domain => {
                    return Ok(one_label_more(domain, &place).unwrap_or(place));
                }
                // A public suffix that is itself the author has nothing above it.
                Some(Some(_)) => return Ok(place),
                Some(None) => highest = Some(place),
                None => {}
            }
        }
        Ok(highest.unwrap_or_else(|| domain.to_owned()))
    }

    /// The public suffix above `domain` that has a policy of its own.
    async fn public_suffix(&mut self, domain: &str) -> Result<Option<String>, String> {
        for place in steps(domain).into_iter().skip(1) {
            let record = self.at(&place).await?;
            match record.and_then(|record| record.is_public_suffix) {
                Some(true) => return Ok(Some(place)),
                Some(false) => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    /// Whether `identifier` stands for the author's domain `author`.
    ///
    /// # Errors
    ///
    /// What DNS failed to say.
    pub async fn aligned(
        &mut self,
        identifier: &str,
        author: &str,
        how: Alignment,
    ) -> Result<bool, String> {
        let identifier = identifier.to_ascii_lowercase();
        if identifier == author {
            return Ok(true);
        }
        let top = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        if how == Alignment::Strict || top(&identifier) != top(author) {
            return Ok(false);
        }
        let organization = self.organization(author).await?;
        if !is_within(&identifier, &organization) {
            return Ok(false);
        }
        Ok(self.organization(&identifier).await? == organization)
    }

    /// The one policy at a name; several are as good as none.
    async fn at(&mut self, name: &str) -> Result<Option<Record>, String> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let place = format!("_dmarc.{name}");
        let answer = match askable(&place) {
            Some(place) => self.dns.ask(place, Question::Txt).await,
            None => Err(Lack::NoRecords),
        };
        let texts = match answer {
            Ok(records) => records,
            Err(Lack::NoSuchName | Lack::NoRecords) => Vec::new(),
            Err(Lack::Temporary(detail)) => return Err(format!("{place}: {detail}")),
        };
        let mut found = texts.iter().filter_map(|text| match text {
            crate::Record::Txt(text) => Record::parse(text),
            crate::Record::A(_)
            | crate::Record::Aaaa(_)
            | crate::Record::Mx(..)
            | crate::Record::Ptr(_) => None,
        });
        let record = found.next().filter(|_| found.next().is_none());
        self.known.insert(name.to_owned(), record.clone());
        Ok(record)
    }
}

/// The names that are asked about, from `domain` up to its last label.
fn steps(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.split('.').collect();
    let mut steps = vec![domain.to_owned()];
    let first = labels.len().saturating_sub(LABELS_MAX - 1).max(1);
    steps.extend((first..labels.len()).map(|from| labels[from..].join(".")));
    steps
}

/// The name one label below `above`, on the way down to `domain`.
fn one_label_more(domain: &str, above: &str) -> Option<String> {
    let labels = above.split('.').count() + 1;
    let all: Vec<&str> = domain.split('.').collect();
    let from = all.len().checked_sub(labels)?;
    Some(all[from..].join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_to_seven_labels_after_the_first_question() {
        assert_eq!(steps("a.b.c"), ["a.b.c", "b.c", "c"]);
        assert_eq!(steps("org"), ["org"]);
        let long = steps("a.b.c.d.e.f.g.h.i.j.mail.example.com");
        assert_eq!(long.len(), LABELS_MAX);
        assert_eq!(long[1], "g.h.i.j.mail.example.com");
        assert_eq!(steps("1.2.3.4.5.6.7.8")[1], "2.3.4.5.6.7.8");
    }
}
