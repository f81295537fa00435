//! The shipped example.

#[test]
fn the_complete_example_checks_clean() {
    let outcome = config::parse(include_str!("../../../examples/complete.conf"));
    assert_eq!(outcome.render(), "");
    assert!(outcome.config.is_some());
}
