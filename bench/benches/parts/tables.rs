//! One look-up in a table that does not hold what is looked for, through the rules.

use std::sync::Arc;

use ::rules::{Facts, Policy, Stage};
use divan::{Bencher, black_box};

fn policy(more: &str) -> Arc<Policy> {
    Arc::clone(&bench::config(&bench::text(more)).policy)
}

fn decide(bencher: Bencher<'_, '_>, policy: &Policy, facts: &Facts) {
    bencher.bench(|| black_box(policy).decide(black_box(facts), Stage::Rcpt).outcome);
}

#[divan::bench(args = [0, 1_000, 10_000, 100_000])]
fn networks(bencher: Bencher<'_, '_>, entries: u32) {
    decide(bencher, &policy(&bench::networks(entries)), &bench::facts());
}

#[divan::bench(args = [0, 1_000, 10_000, 100_000])]
fn domains(bencher: Bencher<'_, '_>, entries: u32) {
    decide(bencher, &policy(&bench::domains(entries)), &bench::facts());
}
