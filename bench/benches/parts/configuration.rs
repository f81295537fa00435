//! A configuration read, checked and compiled, with a table of some size in it.

use divan::{Bencher, black_box};

#[divan::bench(args = [0, 1_000, 10_000, 100_000], sample_count = 20)]
fn networks(bencher: Bencher<'_, '_>, entries: u32) {
    let text = bench::text(&bench::networks(entries));
    bencher.bench(|| bench::config(black_box(&text)));
}

#[divan::bench(args = [10_000, 100_000], sample_count = 20)]
fn domains(bencher: Bencher<'_, '_>, entries: u32) {
    let text = bench::text(&bench::domains(entries));
    bencher.bench(|| bench::config(black_box(&text)));
}

#[divan::bench(args = [10, 100, 1_000], sample_count = 20)]
fn rules(bencher: Bencher<'_, '_>, rules: u32) {
    let text = bench::text(&bench::rules(rules));
    bencher.bench(|| bench::config(black_box(&text)));
}
