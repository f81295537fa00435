//! HTML to blocks: what a person reads, without what a program would fetch or run.
//!
//! Nothing is loaded: pictures are their alternative text, links their words, scripts and
//! styles nothing. What is wrong with the markup is passed over, as browsers do.

use crate::flow::{Block, Span};

/// How deep hidden elements are followed before the rest counts as hidden.
const DEPTH_MAX: usize = 256;
/// The most blocks of a text; the rest is left out by the page limit long before.
const BLOCKS_MAX: usize = 200_000;
/// The longest entity that is looked at, in octets.
const ENTITY_MAX_OCTETS: usize = 10;

/// Elements whose content nobody reads.
const UNREAD: [&str; 8] =
    ["script", "style", "head", "title", "template", "noscript", "svg", "object"];

/// The blocks of a document.
pub fn blocks(html: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    let mut rest = html;
    while !rest.is_empty() && reader.blocks.len() < BLOCKS_MAX {
        match rest.find('<') {
            Some(0) => rest = reader.markup(rest),
            Some(at) => {
                reader.text(&rest[..at]);
                rest = &rest[at..];
            }
            None => {
                reader.text(rest);
                rest = "";
            }
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    spans: Vec<Span>,
    /// What the next end of a paragraph makes of the spans.
    heading: Option<u8>,
    item: Option<String>,
    lists: Vec<Option<u32>>,
    quotes: u8,
    bold: u32,
    preformatted: u32,
    /// The open elements inside a hidden one, from it on.
    hidden: Vec<String>,
    tables: Vec<Vec<Vec<Vec<Span>>>>,
    breaks: bool,
    /// The open cell of the outermost table: whether it is one of its header.
    cell: Option<bool>,
}

impl Reader {
    /// Takes the markup that `rest` begins with; gives what follows it.
    fn markup<'t>(&mut self, rest: &'t str) -> &'t str {
        if let Some(comment) = rest.strip_prefix("<!--") {
            return comment.split_once("-->").map_or("", |(_, after)| after);
        }
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        if !is_tag && !rest.starts_with("<!") && !rest.starts_with("<?") {
            self.text("<");
            return &rest[1..];
        }
        let (tag, after) = split_tag(&rest[1..]);
        if !is_tag {
            return after;
        }
        let is_end = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == ':' || *c == '-')
            .collect::<String>()
            .to_ascii_lowercase();
        let is_void = tag.ends_with('/') || VOID.contains(&name.as_str());
        if !self.hidden.is_empty() {
            self.inside_hidden(&name, is_end, is_void);
        } else if is_end {
            self.end(&name);
        } else if UNREAD.contains(&name.as_str()) || is_hidden(tag) {
            if !is_void {
                if matches!(name.as_str(), "script" | "style") {
                    return after_raw(after, &name);
                }
                self.hidden.push(name);
            }
        } else {
            self.begin(&name, tag);
        }
        after
    }

    fn inside_hidden(&mut self, name: &str, is_end: bool, is_void: bool) {
        if is_end {
            if let Some(at) = self.hidden.iter().rposition(|open| open == name) {
                self.hidden.truncate(at);
            }
        } else if !is_void && self.hidden.len() < DEPTH_MAX {
            self.hidden.push(name.to_owned());
        }
    }

    fn begin(&mut self, name: &str, tag: &str) {
        match name {
            "p" | "div" | "section" | "article" | "header" | "footer" | "address" | "center"
            | "form" | "dl" | "dt" | "dd" | "body" | "main" | "figure" => self.end_paragraph(),
            "br" => self.breaks = true,
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_paragraph();
                self.heading = name.as_bytes().get(1).map(|digit| digit - b'0');
            }
            "hr" => {
                self.end_paragraph();
                self.push(Block::Rule);
            }
            "ul" | "ol" => {
                self.end_paragraph();
                self.lists.push((name == "ol").then_some(0));
            }
            "li" => {
                self.end_paragraph();
                self.item = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number = number.saturating_add(1);
                        format!("{number}.")
                    }
                    Some(None) | None => "\u{2022}".to_owned(),
                });
            }
            "blockquote" => {
                self.end_paragraph();
                self.quotes = self.quotes.saturating_add(1);
            }
            "b" | "strong" => self.bold += 1,
            "td" | "th" => self.begin_cell(name == "th"),
            "tr" => {
                self.end_cell();
                if let Some(table) = self.tables.last_mut() {
                    table.push(Vec::new());
                }
            }
            "table" => {
                // A table in a table is only its text, in the cell it stands in.
                if self.tables.is_empty() {
                    self.end_paragraph();
                    self.tables.push(Vec::new());
                } else {
                    self.tables.push(Vec::new());
                }
            }
            "pre" => {
                self.end_paragraph();
                self.preformatted += 1;
            }
            "img" => {
                if let Some(alternative) = attribute(tag, "alt").filter(|text| !text.is_empty()) {
                    self.text(&format!("[{alternative}]"));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "p" | "div" | "section" | "article" | "header" | "footer" | "address" | "center"
            | "form" | "dl" | "dt" | "dd" | "li" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
            | "figure" => self.end_paragraph(),
            "ul" | "ol" => {
                self.end_paragraph();
                self.lists.pop();
            }
            "blockquote" => {
                self.end_paragraph();
                self.quotes = self.quotes.saturating_sub(1);
            }
            "b" | "strong" => self.bold = self.bold.saturating_sub(1),
            "td" | "th" | "tr" => self.end_cell(),
            "table" => self.end_table(),
            "pre" => {
                self.end_paragraph();
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            _ => {}
        }
    }

    /// A cell begins; many are ended by nothing else.
    fn begin_cell(&mut self, is_header: bool) {
        self.end_cell();
        if self.tables.len() == 1 {
            self.spans.clear();
            self.breaks = false;
            self.cell = Some(is_header);
            self.bold += u32::from(is_header);
        } else {
            self.breaks = !self.spans.is_empty();
        }
    }

    fn end_cell(&mut self) {
        if self.tables.len() == 1
            && let Some(is_header) = self.cell.take()
            && let Some(table) = self.tables.last_mut()
        {
            self.bold = self.bold.saturating_sub(u32::from(is_header));
            if table.is_empty() {
                table.push(Vec::new());
            }
            if let Some(row) = table.last_mut() {
                row.push(tidy(std::mem::take(&mut self.spans)));
            }
        }
        self.breaks = false;
    }

    fn end_table(&mut self) {
        self.end_cell();
        let Some(mut rows) = self.tables.pop() else { return };
        if !self.tables.is_empty() {
            return;
        }
        rows.retain(|row| row.iter().any(|cell| !cell.is_empty()));
        // One column is layout, not a table.
        if rows.iter().all(|row| row.iter().filter(|cell| !cell.is_empty()).count() <= 1) {
            for cell in rows.into_iter().flatten().filter(|cell| !cell.is_empty()) {
                self.push(Block::Text(cell));
            }
        } else {
            self.push(Block::Table(rows));
        }
    }

    fn text(&mut self, text: &str) {
        if !self.hidden.is_empty() {
            return;
        }
        let text = entities(text);
        if self.preformatted > 0 {
            for (at, line) in text.split('\n').enumerate() {
                let line = line.trim_end_matches('\r').replace('\t', "        ");
                match self.blocks.last_mut() {
                    Some(Block::Line(before)) if at == 0 => before.push_str(&line),
                    _ => self.push(Block::Line(line)),
                }
            }
            return;
        }
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            let is_blank = matches!(c, ' ' | '\t' | '\r' | '\n');
            match (is_blank, plain.ends_with(' ')) {
                (true, true) => {}
                (true, false) => plain.push(' '),
                (false, _) if c == '\u{a0}' => plain.push(' '),
                (false, _) => plain.push(c),
            }
        }
        if plain.trim().is_empty() && (self.spans.is_empty() || self.breaks) {
            return;
        }
        if self.breaks {
            let blanks = plain.len() - plain.trim_start().len();
            plain.drain(..blanks);
        }
        let span = Span { text: plain, bold: self.bold > 0, breaks: self.breaks };
        self.breaks = false;
        self.spans.push(span);
    }

    fn end_paragraph(&mut self) {
        if !self.tables.is_empty() {
            self.breaks = !self.spans.is_empty();
            return;
        }
        self.breaks = false;
        let spans = tidy(std::mem::take(&mut self.spans));
        if spans.is_empty() {
            return;
        }
        let block = if let Some(level) = self.heading.take() {
            Block::Heading(level, spans)
        } else if let Some(mark) = self.item.take() {
            Block::Item(mark, self.lists.len().clamp(1, 255) as u8, spans)
        } else if self.quotes > 0 {
            Block::Quote(self.quotes, spans)
        } else {
            Block::Text(spans)
        };
        self.push(block);
    }

    fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    fn finish(mut self) -> Vec<Block> {
        while !self.tables.is_empty() {
            self.end_cell();
            self.end_table();
        }
        self.end_paragraph();
        self.blocks
    }
}

/// Elements that have no end.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Without blanks at both ends; nothing, if there is nothing else.
fn tidy(mut spans: Vec<Span>) -> Vec<Span> {
    if let Some(first) = spans.first_mut() {
        first.text = first.text.trim_start().to_owned();
        first.breaks = false;
    }
    while spans.last().is_some_and(|span| span.text.trim().is_empty()) {
        spans.pop();
    }
    if let Some(last) = spans.last_mut() {
        last.text.truncate(last.text.trim_end().len());
    }
    if spans.iter().all(|span| span.text.trim().is_empty()) { Vec::new() } else { spans }
}

/// The inside of a tag, and what follows its `>`; quoted values may hold one.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return (&text[..at], &text[at + 1..]),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    // A quote that nobody closed: the tag ends at the first `>` there is.
    text.split_once('>').unwrap_or((text, ""))
}

/// What follows the end of a script or style, whose content is no markup.
fn after_raw<'t>(text: &'t str, name: &str) -> &'t str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        let end = &rest[at + 2..];
        if end.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return split_tag(end).1;
        }
        rest = end;
    }
    ""
}

fn is_hidden(tag: &str) -> bool {
    attribute(tag, "style").is_some_and(|style| {
        let plain: String = style.chars().filter(|c| !c.is_whitespace()).collect();
        plain.to_ascii_lowercase().contains("display:none")
    })
}

/// The value of an attribute, if the tag has it.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find(name) {
        let start = from + at;
        let after = tag[start + name.len()..].trim_start();
        let is_name = start > 0 && tag.as_bytes()[start - 1].is_ascii_whitespace();
        if is_name && let Some(value) = after.strip_prefix('=') {
            let value = value.trim_start();
            let value = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
                Some(_) | None => value.split_whitespace().next().unwrap_or_default(),
            };
            return Some(entities(value));
        }
        from = start + name.len();
    }
    None
}

/// Text with its character references resolved.
fn entities(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let end = after.bytes().take(ENTITY_MAX_OCTETS).position(|b| b == b';');
        match end.and_then(|end| Some((entity(&after[..end])?, &after[end + 1..]))) {
            Some((c, next)) => {
                plain.push(c);
                rest = next;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    NAMED.iter().find(|(named, _)| *named == name).map(|(_, c)| *c)
}

/// The character references that mail programs write.
const NAMED: [(&str, char); 62] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("sect", '§'),
    ("para", '¶'),
    ("middot", '·'),
    ("bull", '•'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("deg", '°'),
    ("plusmn", '±'),
    ("times", '×'),
    ("divide", '÷'),
    ("micro", 'µ'),
    ("frac12", '½'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("agrave", 'à'),
    ("acirc", 'â'),
    ("aacute", 'á'),
    ("ccedil", 'ç'),
    ("Ccedil", 'Ç'),
    ("eacute", 'é'),
    ("Eacute", 'É'),
    ("egrave", 'è'),
    ("Egrave", 'È'),
    ("ecirc", 'ê'),
    ("euml", 'ë'),
    ("icirc", 'î'),
    ("iuml", 'ï'),
    ("iacute", 'í'),
    ("ocirc", 'ô'),
    ("oacute", 'ó'),
    ("ugrave", 'ù'),
    ("ucirc", 'û'),
    ("uacute", 'ú'),
    ("ntilde", 'ñ'),
    ("oelig", 'œ'),
    ("rarr", '→'),
    ("larr", '←'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> String {
        let text = |spans: &[Span]| -> String {
            let parts = spans.iter().map(|span| {
                let line = if span.breaks { "/" } else { "" };
                if span.bold {
                    format!("{line}*{}*", span.text)
                } else {
                    format!("{line}{}", span.text)
                }
            });
            parts.collect()
        };
        let lines = blocks(html).into_iter().map(|block| match block {
            Block::Text(spans) => text(&spans),
            Block::Heading(level, spans) => format!("h{level} {}", text(&spans)),
            Block::Item(mark, depth, spans) => format!("{depth}{mark} {}", text(&spans)),
            Block::Quote(depth, spans) => format!("{depth}> {}", text(&spans)),
            Block::Line(line) => format!("|{line}"),
            Block::Table(rows) => rows
                .iter()
                .map(|row| row.iter().map(|cell| text(cell)).collect::<Vec<_>>().join("|"))
                .collect::<Vec<_>>()
                .join(" ; "),
            Block::Rule => "---".to_owned(),
            Block::Space => String::new(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_a_person_reads_becomes_text() {
        assert_eq!(
            read(
                "<h1>Results</h1><p>Dear <b>Ann</b>,<br>all is\n   well &amp; fine &#8364;5.</p><hr>"
            ),
            "h1 Results\nDear *Ann*,/all is well & fine €5.\n---"
        );
        assert_eq!(read("<ul><li>one<li>two<ol><li>deep</ol></ul>"), "1• one\n1• two\n21. deep");
        assert_eq!(
            read("<table><tr><th>A</th><td>1</td></tr><tr><td>B<td>2</td></tr></table>"),
            "*A*|1 ; B|2"
        );
        assert_eq!(read("<pre>a  b\n  c</pre>"), "|a  b\n|  c");
        assert_eq!(read("<blockquote>said</blockquote>"), "1> said");
    }

    #[test]
    fn what_nobody_reads_is_left_out() {
        assert_eq!(
            read(
                "<style>p{}</style><script>if(1<2)x('</p>')</script><p>a</p><!-- no --><div style='display: none'><p>x</p></div>b"
            ),
            "a\nb"
        );
        assert_eq!(read("<img src='http://127.0.0.1/x.png' alt='Logo'>"), "[Logo]");
        assert_eq!(read("<img src=\"file:///etc/passwd\">"), "");
    }

    #[test]
    fn broken_markup_is_passed_over() {
        assert_eq!(read("a < b & c &nosuch; <p title=\"x>y\">d"), "a < b & c &nosuch;\nd");
        assert_eq!(read("<table><tr><td>a"), "a");
        read(&"<div style=display:none>".repeat(10_000));
        read(&"<table>".repeat(10_000));
        read("<");
        read("</");
        read("<!--");
        read("<p \"");
        read("&#xffffffff;&#0;é<é");
    }
}
