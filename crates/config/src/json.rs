//! The JSON twin: the same statements for programs.
//!
//! A block is an object whose keys are directives; a directive that can be repeated is an
//! array, a value alone is a string, several are an array. A block with a name has its
//! words under the names of its arguments. Where order matters (`rules`, lists) there are
//! arrays of statements: words, or `{"words": [...], "block": [...]}`. Comments are left out.

use serde_json::{Map, Value, json};

use crate::diagnostic::Diagnostic;
use crate::format::INDENT;
use crate::schema::{Argument, Context, Count, Directive, Form, Inside, TOP};
use crate::source::FileId;
use crate::tree::{DEPTH_MAX, Statement, Tree, quote};
use crate::value::Kind;

/// The name and version of the form.
pub const SCHEMA: &str = "mailkeep.config/1";

/// The JSON form of one text. Includes stay includes.
///
/// # Errors
///
/// The findings, when the text has no tree without errors.
pub fn export(text: &str) -> Result<Value, Vec<Diagnostic>> {
    let (tree, diagnostics) = Tree::parse(FileId::ROOT, text);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut object = fields(&TOP, &tree.statements);
    object.insert("schema".to_owned(), json!(SCHEMA));
    Ok(Value::Object(object))
}

fn fields(context: &'static Context, statements: &[Statement]) -> Map<String, Value> {
    let mut object = Map::new();
    for statement in statements {
        let name = &statement.name().text;
        let directive = context.directive(name);
        let item = directive.map_or_else(|| plain(statement), |d| item(d, statement));
        let repeatable = directive.is_none_or(|directive| directive.repeatable);
        match object.get_mut(name) {
            Some(Value::Array(items)) if repeatable => items.push(item),
            Some(_) => {}
            None if repeatable => {
                object.insert(name.clone(), json!([item]));
            }
            None => {
                object.insert(name.clone(), item);
            }
        }
    }
    object
}

/// A statement of no known directive, or one of a list.
fn plain(statement: &Statement) -> Value {
    let words: Vec<&str> = statement.arguments().iter().map(|word| word.text.as_str()).collect();
    json!(words)
}

fn item(directive: &'static Directive, statement: &Statement) -> Value {
    let words: Vec<&str> = statement.arguments().iter().map(|word| word.text.as_str()).collect();
    if directive.context().is_none() {
        return values(directive, &words);
    }
    let form = directive
        .forms
        .iter()
        .find(|form| (form.inside.context().is_some()) == statement.block.is_some());
    let mut object = Map::new();
    let arguments = form.map_or(&[][..], |form| form.arguments);
    for (argument, word) in arguments.iter().zip(&words) {
        if !is_keyword(argument) {
            object.insert(argument.name.to_owned(), json!(word));
        }
    }
    let (Some(context), Some(block)) = (directive.context(), &statement.block) else {
        return Value::Object(object);
    };
    if context.ordered {
        object.insert(STATEMENTS.to_owned(), ordered(&block.statements));
    } else {
        object.extend(fields(context, &block.statements));
    }
    Value::Object(object)
}

fn values(directive: &Directive, words: &[&str]) -> Value {
    let many = directive.forms.iter().flat_map(|form| form.arguments);
    let is_list = many.into_iter().any(|argument| argument.count == Count::Many);
    match words {
        [] => json!(true),
        [one] if !is_list => json!(one),
        words => json!(words),
    }
}

fn ordered(statements: &[Statement]) -> Value {
    let one = |statement: &Statement| {
        let words: Vec<&str> = statement.words.iter().map(|word| word.text.as_str()).collect();
        match (&statement.block, &words[..]) {
            (Some(block), words) => json!({ "words": words, "block": ordered(&block.statements) }),
            (None, [one]) => json!(one),
            (None, words) => json!(words),
        }
    };
    statements.iter().map(one).collect()
}

fn is_keyword(argument: &Argument) -> bool {
    matches!(argument.kind, Kind::Keyword(_))
}

/// The key of statements whose order matters.
const STATEMENTS: &str = "statements";

/// Why a JSON value is no configuration. Names the place as a path of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ImportError {
    /// The keys that lead there: `listener.0.port`.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

/// The text of a JSON form, in the order of the schema. Check it with [`crate::parse`].
///
/// # Errors
///
/// [`ImportError`] names what cannot be a configuration.
pub fn import(value: &Value) -> Result<String, ImportError> {
    let mut writer = Writer { text: String::new(), depth: 0, place: Vec::new() };
    let Value::Object(object) = value else { return Err(writer.wrong("an object is expected")) };
    let mut object = object.clone();
    match object.remove("schema") {
        Some(Value::String(schema)) if schema == SCHEMA => {}
        Some(_) | None => return Err(writer.wrong(&format!("\"schema\" must be \"{SCHEMA}\""))),
    }
    writer.fields(&TOP, &object, &[])?;
    Ok(writer.text)
}

struct Writer {
    text: String,
    depth: usize,
    place: Vec<String>,
}

impl Writer {
    fn wrong(&self, problem: &str) -> ImportError {
        let place = if self.place.is_empty() { "the value".into() } else { self.place.join(".") };
        ImportError { place, problem: problem.to_owned() }
    }

    /// Runs `write` one key deeper.
    fn at<T>(
        &mut self,
        key: &(impl ToString + ?Sized),
        write: impl FnOnce(&mut Self) -> Result<T, ImportError>,
    ) -> Result<T, ImportError> {
        self.place.push(key.to_string());
        let result = write(self)?;
        self.place.pop();
        Ok(result)
    }

    fn line(&mut self, words: &[String], end: &str) {
        self.text.push_str(&INDENT.repeat(self.depth));
        self.text.push_str(&words.join(" "));
        self.text.push_str(end);
        self.text.push('\n');
    }

    fn fields(
        &mut self,
        context: &'static Context,
        object: &Map<String, Value>,
        not: &[&str],
    ) -> Result<(), ImportError> {
        for directive in context.directives {
            let Some(value) = object.get(directive.name).filter(|_| !not.contains(&directive.name))
            else {
                continue;
            };
            self.at(directive.name, |writer| writer.directive(directive, value))?;
        }
        for (key, value) in object.iter().filter(|(key, _)| !not.contains(&key.as_str())) {
            if context.directive(key).is_some() {
                continue;
            }
            if context.entry.is_none() {
                let problem = format!("\"{key}\" is not known in {}", context.name);
                return Err(self.wrong(&problem));
            }
            self.at(key, |writer| writer.entries(key, value))?;
        }
        Ok(())
    }

    fn entries(&mut self, key: &str, value: &Value) -> Result<(), ImportError> {
        let Value::Array(items) = value else { return Err(self.wrong("an array is expected")) };
        for item in items {
            let mut words = vec![self.word(&json!(key))?];
            words.extend(self.words(item)?);
            self.line(&words, "");
        }
        Ok(())
    }

    fn directive(
        &mut self,
        directive: &'static Directive,
        value: &Value,
    ) -> Result<(), ImportError> {
        match value {
            Value::Array(items) if directive.repeatable => {
                for (at, item) in items.iter().enumerate() {
                    self.at(&at, |writer| writer.item(directive, item))?;
                }
                Ok(())
            }
            _ if directive.repeatable => Err(self.wrong("an array is expected")),
            item => self.item(directive, item),
        }
    }

    fn item(&mut self, directive: &'static Directive, value: &Value) -> Result<(), ImportError> {
        let mut words = vec![directive.name.to_owned()];
        let Value::Object(object) = value else {
            let valueless = directive.forms.iter().all(|form| form.arguments.is_empty());
            if !(valueless && *value == json!(true)) {
                words.extend(self.words(value)?);
            }
            self.line(&words, "");
            return Ok(());
        };
        let form = self.form(directive, object)?;
        for argument in form.arguments {
            words.push(match (argument.kind, object.get(argument.name)) {
                (Kind::Keyword(keyword), _) => keyword.to_owned(),
                (_, Some(value)) => self.at(argument.name, |writer| writer.word(value))?,
                (_, None) => {
                    return Err(self.wrong(&format!("\"{}\" is missing", argument.name)));
                }
            });
        }
        let names: Vec<&str> = form.arguments.iter().map(|argument| argument.name).collect();
        match form.inside {
            Inside::Nothing => {
                self.line(&words, "");
                return self.only(object, &names);
            }
            Inside::Statements(context) | Inside::Lines(context) => {
                self.line(&words, " {");
                self.depth += 1;
                if context.ordered {
                    let statements = object.get(STATEMENTS).cloned().unwrap_or(json!([]));
                    self.at(STATEMENTS, |writer| writer.ordered(&statements))?;
                    self.only(object, &[&names[..], &[STATEMENTS]].concat())?;
                } else {
                    self.fields(context, object, &names)?;
                }
            }
        }
        self.depth -= 1;
        self.line(&["}".to_owned()], "");
        Ok(())
    }

    /// The form whose arguments are there; the one with a block first.
    fn form(
        &self,
        directive: &'static Directive,
        object: &Map<String, Value>,
    ) -> Result<&'static Form, ImportError> {
        let complete = |form: &&Form| {
            form.arguments.iter().all(|a| is_keyword(a) || object.contains_key(a.name))
        };
        let mut fitting: Vec<&Form> = directive.forms.iter().filter(complete).collect();
        fitting.sort_by_key(|form| std::cmp::Reverse(form.arguments.len()));
        fitting.first().copied().ok_or_else(|| {
            let names = directive.forms.iter().flat_map(|form| form.arguments);
            let names: Vec<&str> = names.filter(|a| !is_keyword(a)).map(|a| a.name).collect();
            self.wrong(&format!("one of these is missing: {}", names.join(", ")))
        })
    }

    fn only(&self, object: &Map<String, Value>, known: &[&str]) -> Result<(), ImportError> {
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(self.wrong(&format!("\"{key}\" is not known here"))),
            None => Ok(()),
        }
    }

    fn ordered(&mut self, value: &Value) -> Result<(), ImportError> {
        let Value::Array(items) = value else { return Err(self.wrong("an array is expected")) };
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(&format!("blocks nest deeper than {DEPTH_MAX}")));
        }
        for (at, item) in items.iter().enumerate() {
            self.at(&at, |writer| writer.ordered_item(item))?;
        }
        Ok(())
    }

    fn ordered_item(&mut self, item: &Value) -> Result<(), ImportError> {
        let Value::Object(object) = item else {
            let words = self.words(item)?;
            self.line(&words, "");
            return Ok(());
        };
        self.only(object, &["words", "block"])?;
        let words = object.get("words").ok_or_else(|| self.wrong("\"words\" is missing"))?;
        let words = self.words(words)?;
        let block = object.get("block").cloned().unwrap_or(json!([]));
        self.line(&words, " {");
        self.depth += 1;
        self.at("block", |writer| writer.ordered(&block))?;
        self.depth -= 1;
        self.line(&["}".to_owned()], "");
        Ok(())
    }

    fn words(&self, value: &Value) -> Result<Vec<String>, ImportError> {
        match value {
            Value::Array(values) if values.is_empty() => Err(self.wrong("an empty array")),
            Value::Array(values) => values.iter().map(|value| self.word(value)).collect(),
            value => Ok(vec![self.word(value)?]),
        }
    }

    fn word(&self, value: &Value) -> Result<String, ImportError> {
        match value {
            Value::String(text) if text.chars().any(|c| c.is_control() && c != '\t') => {
                Err(self.wrong("a word cannot hold a line end or control character"))
            }
            Value::String(text) => Ok(quote(text)),
            Value::Number(number) => Ok(quote(&number.to_string())),
            Value::Bool(true) => Ok("on".to_owned()),
            Value::Bool(false) => Ok("off".to_owned()),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err(self.wrong("a text is expected"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const TEXT: &str = r#"
        hostname mx.example            # comments are left out
        dns { server 127.0.0.1:53; cache off }
        hosts { relay.example 192.0.2.1 192.0.2.2 }
        certificate mail { local-authority; names mx.example }
        listener mx { port 25; certificate mail; certificate-for a.example mail }
        table bad patterns { "a b*" }
        table far domains file far.txt
        rules { rule a { when all { any { sender is null }; connection is not tls }; reject 550 5.7.1 "No, thanks" } }
        force-encrypt { bank.example verified; 192.0.2.0/24 }
    "#;

    #[test]
    fn the_twin_reads_well() {
        let twin = serde_json::to_string_pretty(&export(TEXT).unwrap()["listener"]).unwrap();
        expect![[r#"
            [
              {
                "certificate": "mail",
                "certificate-for": [
                  [
                    "a.example",
                    "mail"
                  ]
                ],
                "name": "mx",
                "port": "25"
              }
            ]"#]]
        .assert_eq(&twin);
    }

    #[test]
    fn the_twin_reads_back_the_same() {
        let twin = export(TEXT).unwrap();
        let text = import(&twin).unwrap();
        assert_eq!(crate::diff::statements(TEXT, &text), []);
        assert_eq!(export(&text).unwrap(), twin);
        assert_eq!(crate::format::format(&text).unwrap(), text);
    }

    #[test]
    fn the_complete_example_reads_back_the_same() {
        let text = include_str!("../../../examples/complete.conf");
        let back = import(&export(text).unwrap()).unwrap();
        assert_eq!(crate::diff::statements(text, &back), []);
        assert!(crate::parse(&back).config.is_some());
    }

    #[test]
    fn what_is_no_configuration_is_named_by_its_place() {
        let with = |key: &str, value: Value| {
            let mut object = json!({ "schema": SCHEMA });
            object[key] = value;
            import(&object).unwrap_err().to_string()
        };
        assert_eq!(with("hostnam", json!("x")), "the value: \"hostnam\" is not known in the file");
        assert_eq!(
            with("listener", json!([{ "port": 25 }])),
            "listener.0: one of these is missing: name"
        );
        assert_eq!(with("hostname", json!(null)), "hostname: a text is expected");
        assert_eq!(
            with("greeting", json!("a\nlog")),
            "greeting: a word cannot hold a line end or control character"
        );
        assert!(import(&json!([])).is_err());
    }
}
