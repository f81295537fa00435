//! The manual page of the configuration, from the schema.

use std::fmt::Write as _;

use rules::Fact;
use rules::fact::Kind as FactKind;

use crate::code::Code;
use crate::schema::{
    Absent, Argument, CONDITIONS, Context, Count, Directive, RULE, RULES, TOP, blocks,
};
use crate::value::Kind;

const INTRODUCTION: &str = r#"# Configuration

<!-- Written by `cargo xtask tidy` from the schema in crates/config. Change it there. -->

One text says everything that is policy: listeners, certificates, domains, rules. What is data
(accounts, mail, the queue, evidence, the history of this text) lies in the data folder.

```
mailkeep config check      what is wrong with the text, all at once
mailkeep config fmt        the same text in canonical form
mailkeep config diff       what an edited text would change
mailkeep config apply      check it, keep it as a revision, use it
```

## The language

- A statement is words, and ends at the end of its line or at `;`.
- Words are separated by blanks or commas.
- `{` and `}` enclose a block of statements; `{` stands on the line of its statement.
- `#` begins a comment where a word could begin.
- `"..."` encloses a word with blanks in it, on one line; `\"` and `\\` are its only escapes.
- Everything else is part of a word: `192.0.2.0/24`, `*.example.com`, `2001:db8::/32`, `25MB`, `10m`.
- The text is UTF-8. CRLF is accepted and written back as it was found.
- Names of directives are lower case. An unknown one is an error: nothing is ignored.

Sizes are `64KB`, `50MB`, `1GB` (1 KB is 1,024 octets) or a number of octets. Times are `250ms`,
`30s`, `10m`, `4h`, `5d`, `2w`. Relative paths start at the folder of the file they stand in.
Secrets are never written here; a directive names where one is kept: `env:NAME` (a variable of the
environment), `file:PATH`, or `credential:NAME` (systemd's `LoadCredential=`).

Capitals below stand for values, `...` for "one or more", `[ ]` for "may be left out".

"#;

/// The most choices that are written out in a synopsis.
const CHOICES_SHOWN_MAX: usize = 4;

/// The manual page in Markdown.
pub fn manual_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let _ = writeln!(page, "## Outside all blocks\n");
    directives(&mut page, &TOP);
    for (directive, form, context) in blocks() {
        // Rules have a section of their own.
        if [&RULES, &RULE, &CONDITIONS].iter().any(|rules| std::ptr::eq(*rules, context)) {
            continue;
        }
        let words = std::iter::once(directive.name.to_owned())
            .chain(form.arguments.iter().map(placeholder))
            .collect::<Vec<_>>();
        let _ = writeln!(page, "## `{} {{ }}`\n\n{}\n", words.join(" "), context.doc);
        directives(&mut page, context);
    }
    rules_section(&mut page);
    errors(&mut page);
    page
}

fn directives(page: &mut String, context: &'static Context) {
    for directive in context.directives {
        let _ = writeln!(page, "### `{}`\n\n```", directive.name);
        for form in directive.forms {
            let words = std::iter::once(directive.name.to_owned())
                .chain(form.arguments.iter().map(placeholder))
                .chain(form.inside.context().map(|_| "{ ... }".to_owned()));
            let _ = writeln!(page, "{}", words.collect::<Vec<_>>().join(" "));
        }
        let _ = writeln!(page, "```\n\n{}\n", directive.doc);
        argument_kinds(page, directive);
        let _ = writeln!(page, "{}  ", absent(directive));
        let repeated = if directive.repeatable { "May be repeated. " } else { "" };
        let secret = if directive.is_secret() { "Names a secret. " } else { "" };
        let since = directive.since;
        let _ =
            writeln!(page, "{repeated}{secret}Since {since}. Example: `{}`\n", directive.example);
    }
}

fn argument_kinds(page: &mut String, directive: &'static Directive) {
    let mut written: Vec<&str> = Vec::new();
    for argument in directive.forms.iter().flat_map(|form| form.arguments) {
        if written.contains(&argument.name) {
            continue;
        }
        written.push(argument.name);
        let name = argument.name.to_uppercase();
        if let Kind::OneOf(choices) = argument.kind {
            for (word, meaning) in choices {
                let _ = writeln!(page, "- `{word}`: {meaning}");
            }
        } else if !matches!(argument.kind, Kind::Keyword(_)) {
            let _ = writeln!(page, "- `{name}`: {}", argument.kind);
        }
    }
    if written.iter().any(|name| !name.is_empty()) {
        page.push('\n');
    }
}

fn absent(directive: &Directive) -> String {
    match directive.absent {
        Absent::Value(text) => format!("Default: `{text}`."),
        Absent::Derived(words) => format!("If it is not written: {words}."),
        Absent::Required => "It must be written.".to_owned(),
    }
}

fn placeholder(argument: &Argument) -> String {
    if let Kind::Keyword(word) = argument.kind {
        return word.to_owned();
    }
    let mut choices: Vec<&str> = Vec::new();
    if let Kind::OneOf(words) = argument.kind {
        choices.extend(words.iter().map(|(word, _)| *word));
    } else if argument.kind == Kind::Switch {
        choices.extend(["on", "off"]);
    }
    let is_short = (1..=CHOICES_SHOWN_MAX).contains(&choices.len());
    let word = if is_short { choices.join("|") } else { argument.name.to_uppercase() };
    match argument.count {
        Count::One => word,
        Count::Optional => format!("[{word}]"),
        Count::Many => format!("{word} ..."),
    }
}

fn rules_section(page: &mut String) {
    page.push_str(
        "## `rules { }`\n\n\
         ```\nrules {\n    rule NAME {\n        when all|any|none { CONDITIONS }\n        ACTIONS\n    }\n}\n```\n\n\
         Rules are read top to bottom. A *setting* holds until a later rule changes it; the first \
         *verdict* ends the evaluation for that recipient. A rule without `when` always applies. Each \
         rule runs at the first stage at which its facts are known (connect, hello, auth, mail, rcpt, \
         data, relay); an action that belongs to an earlier stage than its conditions is an error. \
         `include FILE` reads rules from other files.\n\n### Conditions\n\n",
    );
    let _ = writeln!(page, "{}\n", CONDITIONS.doc);
    page.push_str("| subject | compared with | known from | what it is |\n|---|---|---|---|\n");
    for fact in &Fact::ALL {
        let info = fact.info();
        let subject = if fact.name().is_some() {
            format!("{} NAME", info.words)
        } else {
            info.words.to_owned()
        };
        let stage = format!("{:?}", info.stage).to_lowercase();
        let _ = writeln!(
            page,
            "| `{subject}` | {} | {stage} | {} |",
            comparisons(info.kind, info.present),
            info.doc
        );
    }
    page.push_str("\n### Actions\n\n| action | what it does | example |\n|---|---|---|\n");
    for action in RULE.directives.iter().filter(|directive| directive.name != "when") {
        let doc = action.doc.replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {doc} | `{}` |", action.name, action.example);
    }
    page.push('\n');
}

/// How a kind of fact can be compared.
fn comparisons(kind: FactKind, present: &str) -> String {
    let written = match kind {
        FactKind::Flag => "",
        FactKind::Version => "`is` 1.2 or 1.3, `at least`",
        FactKind::Suite => "`is` a suite, `matches`",
        FactKind::Fingerprint => "`is` a fingerprint",
        FactKind::Text => "`is` a text, `in table`, `matches`",
        FactKind::Address => "`is` an address or `null`, `in table`, `matches`",
        FactKind::Domain => "`is` a domain or `.domain`, `in table`, `matches`",
        FactKind::Ip => "`is` an address or network, `in table`",
        FactKind::Count => "`is`, `over`, `under` a number",
        FactKind::Octets => "`over`, `under` a size",
        FactKind::Score => "`over`, `under` a score such as 5.5",
        FactKind::Minute => "`is` a span such as 08:00-18:00",
        FactKind::Weekday => "`is` a day",
        FactKind::Words(words) => {
            let words: Vec<&str> = words.iter().map(|word| word.word()).collect();
            return format!("`is` {}", words.join(", "));
        }
    };
    match (present, written) {
        ("", written) => written.to_owned(),
        (present, "") => format!("`is {present}`"),
        (present, written) => format!("`is {present}`, {written}"),
    }
}

fn errors(page: &mut String) {
    page.push_str(
        "## Findings\n\nEach finding has a code; `mailkeep help C101` shows its page.\n\n\
         | code | cause | what to do |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let explanation = code.explanation().replace('|', "\\|");
        let _ = writeln!(page, "| {code} | {} | {explanation} |", code.title());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    #[test]
    fn the_manual_is_current() {
        expect_file!["../../../docs/manual/configuration.md"].assert_eq(&manual_markdown());
    }

    #[test]
    fn every_action_that_rules_know_is_in_the_manual() {
        let error = rules::words::parse_action(&["no-such-action"]).unwrap_err();
        for action in error.problem.allowed() {
            assert!(RULE.directive(action).is_some(), "{action}");
        }
        assert_eq!(error.problem.allowed().len() + 1, RULE.directives.len());
    }
}
