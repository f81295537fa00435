//! A message on its way out: looked over, then dot-stuffed by the client session.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use smtp::client::Survey;

#[divan::bench(args = [4_096, 65_536, 1_048_576])]
fn survey(bencher: Bencher<'_, '_>, octets: usize) {
    let content = bench::content(octets);
    bencher
        .counter(BytesCount::new(content.len()))
        .bench(|| Survey::of(black_box(&content)).finish());
}
