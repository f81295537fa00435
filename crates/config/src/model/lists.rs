//! Lists of clients and of domains, greylisting, reputation.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use lists::Action;
use lists::codes::Codes;
use mail::Domain;

use crate::located::Located;

/// What every list has.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// The name that rules, logs and refusals use.
    pub name: Located<String>,
    /// Where it is.
    pub source: ListSource,
    /// What it is for.
    pub action: Located<Action>,
    /// How much a listing weighs where its code says nothing else.
    pub weight: Located<u32>,
    /// What its answers mean.
    pub codes: Codes,
    /// How long its answer is waited for.
    pub timeout: Located<Duration>,
    /// Whether its test points are asked.
    pub self_test: Located<bool>,
    /// How often.
    pub test_every: Located<Duration>,
}

/// Where a list is.
#[derive(Debug, Clone, PartialEq)]
pub enum ListSource {
    /// In DNS, under this zone.
    Zone(Domain),
    /// In a file of ours.
    File(Located<PathBuf>),
}

/// `dnsbl NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Dnsbl {
    /// The list.
    pub list: List,
    /// Clients it is not asked about.
    pub except: Located<Vec<IpNet>>,
}

/// `uribl NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Uribl {
    /// The list.
    pub list: List,
    /// Domains it is not asked about, nor names below them.
    pub except: Located<Vec<Domain>>,
    /// Whether whole host names are asked about in place of registered domains.
    pub whole_hosts: Located<bool>,
    /// Whether addresses in links are asked about.
    pub addresses: Located<bool>,
    /// The header fields whose domains are asked about.
    pub headers: Located<Vec<String>>,
    /// The name it must list.
    pub test_listed: Located<Domain>,
    /// The name it must not list.
    pub test_unlisted: Located<Domain>,
}

/// `greylisting { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Greylisting {
    /// The times.
    pub settings: lists::greylist::Settings,
    /// Clients that never have to come again.
    pub except: Located<Vec<IpNet>>,
}

/// `reputation { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Reputation {
    /// In this time half of what is remembered is forgotten.
    pub half_life: Located<Duration>,
}
