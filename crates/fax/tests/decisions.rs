//! The decision table of account security: `decisions.txt`, a row a case.

use std::fmt::Write as _;

use fax::security::Author;
use fax::{Security, SoftFail, Source, Spf};
use mail::{Address, Domain};

/// The issue asks for no fewer.
const ROWS_MIN: usize = 60;

fn security(white_list: &str, protection: &str) -> Security {
    let networks = ["10.0.0.0/8", "2001:db8::/32"];
    Security {
        white_list: match white_list {
            "on" => networks.iter().map(|network| network.parse().unwrap()).collect(),
            "off" => Vec::new(),
            other => panic!("white list {other}"),
        },
        spoofing_protection: match protection {
            "off" => None,
            "accept" => Some(SoftFail::Accept),
            "reject" => Some(SoftFail::Reject),
            other => panic!("protection {other}"),
        },
        users: vec![Address::parse("ann@clinic.example").unwrap()],
        trusted_domains: vec![Domain::parse("partner.example").unwrap()],
    }
}

fn outcome(row: &[&str]) -> String {
    let &[white_list, protection, client, spf, sender, author, signed_in, _] = row else {
        panic!("a row has eight columns: {row:?}")
    };
    let sender = (sender != "<>").then(|| Address::parse(sender).unwrap());
    let dmarc_passes = author.ends_with('!');
    let authors: Vec<Domain> = match author.trim_end_matches('!') {
        "-" => Vec::new(),
        several => {
            several.split('+').map(|one| Address::parse(one).unwrap().domain().clone()).collect()
        }
    };
    let source = Source {
        client: client.parse().unwrap(),
        sender: sender.as_ref(),
        signed_in: (signed_in != "-").then_some(signed_in),
        spf: Some(Spf::parse(spf).unwrap()),
        author: Some(Author { domains: &authors, dmarc_passes }),
    };
    match security(white_list, protection).decide(&source) {
        Ok(fax::Principal::Registered) => "registered".to_owned(),
        Ok(fax::Principal::Trusted) => "trusted".to_owned(),
        Err(denial) => denial.to_string(),
    }
}

#[test]
fn every_row_of_the_decision_table_comes_out_as_it_says() {
    let mut wrong = String::new();
    let mut count = 0;
    for line in include_str!("decisions.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let row: Vec<&str> = line.split(" | ").collect();
        let (found, wanted) = (outcome(&row), row[row.len() - 1]);
        count += 1;
        if found != wanted {
            writeln!(wrong, "{line}\n    came out as {found}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= ROWS_MIN, "only {count} rows");
}
