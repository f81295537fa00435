//! Links of a message, and look-ups in a list of our own.

use std::fmt::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use lists::own::OwnList;
use lists::uri::Links;
use mail::attachment::Scanner;

fn html(octets: usize) -> String {
    let mut page = String::with_capacity(octets + 200);
    let mut n = 0;
    while page.len() < octets {
        n += 1;
        let _ = write!(
            page,
            "<p>Some words of a newsletter that people read, with &amp; entities.</p>\n\
             <a href=\"https://www.shop{}.example.com/item?id={n}&utm=mail\">offer</a>\n",
            n % 40
        );
    }
    page
}

#[divan::bench(args = [4_096, 65_536, 1_048_576])]
fn links_of_html(bencher: Bencher<'_, '_>, octets: usize) {
    let page = html(octets);
    bencher.counter(BytesCount::new(page.len())).bench(|| {
        let mut links = Links::new();
        links.part(black_box(page.as_bytes()), true);
        links.into_found()
    });
}

#[divan::bench(args = [4_096, 65_536, 1_048_576])]
fn text_of_message(bencher: Bencher<'_, '_>, octets: usize) {
    let message = format!("Content-Type: text/html\r\n\r\n{}", html(octets).replace('\n', "\r\n"));
    bencher.counter(BytesCount::new(message.len())).bench(|| {
        let mut scanner = Scanner::with_text(1024 * 1024);
        scanner.push(black_box(message.as_bytes()));
        scanner.finish()
    });
}

#[divan::bench(args = [1_000, 100_000])]
fn own_list(bencher: Bencher<'_, '_>, entries: u32) {
    let text: String = (0..entries)
        .map(|n| format!("{}\n", std::net::Ipv4Addr::from(0x0b00_0000 + n * 7)))
        .chain((0..64).map(|n| format!("198.51.{n}.0/24\n")))
        .collect();
    let list = OwnList::parse(&text).expect("a list");
    let ip = "203.0.113.7".parse().expect("an address");
    bencher.counter(ItemsCount::new(1_u32)).bench(|| list.address(black_box(ip)).is_some());
}
