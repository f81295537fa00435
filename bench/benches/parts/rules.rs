//! One decision over rules of which none matches.

use ::rules::Stage;
use divan::{Bencher, black_box};

#[divan::bench(args = [0, 10, 100, 1_000])]
fn decide(bencher: Bencher<'_, '_>, rules: u32) {
    let config = bench::config(&bench::text(&bench::rules(rules)));
    let facts = bench::facts();
    bencher.bench(|| black_box(&config.policy).decide(black_box(&facts), Stage::Data).outcome);
}
