//! `config schema`: the table of directives, for people and for programs.

use config::schema::{Absent, Argument, Context, Count, Directive, Inside, TOP};
use serde_json::{Value, json};

use crate::control::Answer;
use crate::control::columns::Put;

/// How deep blocks are described; conditions nest, and are described once.
const DEPTH_MAX: usize = 4;

/// Every directive.
pub fn answer() -> Answer {
    let mut text = String::new();
    outline(&TOP, 0, &mut text);
    let json = json!({
        "schema": "mailkeep.config-schema/1",
        "describes": config::json::SCHEMA,
        "directives": directives(&TOP, 0),
    });
    Answer::new(text, json)
}

fn outline(context: &'static Context, depth: usize, text: &mut String) {
    for directive in context.directives {
        let indent = "    ".repeat(depth);
        for form in directive.forms {
            let words: Vec<String> = form.arguments.iter().map(word).collect();
            let brace = if inner(form.inside).is_some() { " {" } else { "" };
            let words = words.join(" ");
            let gap = if words.is_empty() { "" } else { " " };
            text.put(format_args!("{indent}{}{gap}{words}{brace}", directive.name));
            text.push('\n');
            if let Some(context) = inner(form.inside) {
                if depth < DEPTH_MAX {
                    outline(context, depth + 1, text);
                }
                text.put(format_args!("{indent}}}\n"));
            }
        }
    }
}

fn word(argument: &Argument) -> String {
    let name = match argument.kind {
        config::value::Kind::Keyword(word) => word.to_owned(),
        _ => argument.name.to_uppercase(),
    };
    match argument.count {
        Count::One => name,
        Count::Optional => format!("[{name}]"),
        Count::Many => format!("{name} ..."),
    }
}

fn inner(inside: Inside) -> Option<&'static Context> {
    match inside {
        Inside::Nothing => None,
        Inside::Statements(context) | Inside::Lines(context) => Some(context),
    }
}

fn directives(context: &'static Context, depth: usize) -> Value {
    let described: Vec<Value> =
        context.directives.iter().map(|directive| describe(directive, depth)).collect();
    json!(described)
}

fn describe(directive: &'static Directive, depth: usize) -> Value {
    let forms: Vec<Value> = directive
        .forms
        .iter()
        .map(|form| json!(form.arguments.iter().map(argument).collect::<Vec<_>>()))
        .collect();
    let mut described = json!({
        "name": directive.name,
        "forms": forms,
        "repeatable": directive.repeatable,
        "doc": directive.doc,
        "example": directive.example,
        "since": directive.since,
    });
    match directive.absent {
        Absent::Value(value) => described["default"] = json!(value),
        Absent::Derived(words) => described["derived"] = json!(words),
        Absent::Required => described["required"] = json!(true),
    }
    if let Some(context) = directive.context().filter(|_| depth < DEPTH_MAX) {
        described["block"] = json!({
            "doc": context.doc,
            "ordered": context.ordered,
            "directives": directives(context, depth + 1),
        });
    }
    described
}

fn argument(argument: &Argument) -> Value {
    let count = match argument.count {
        Count::One => "one",
        Count::Optional => "optional",
        Count::Many => "many",
    };
    json!({ "name": argument.name, "count": count, "value": argument.kind.to_string() })
}
