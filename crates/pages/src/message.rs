//! A message to what is faxed of it: its text, and its attachments in order.

use fax::LeftOut;
use fax::left_out::Kind;
use fax::work::Request;
use image::ImageFormat;
use mail_parser::{MessageParser, MessagePart, MimeHeaders, PartType};

use crate::bitmap::Bitmap;
use crate::error::Trouble;
use crate::flow::{Block, Flow, Span};
use crate::html;
use crate::letters::Fonts;
use crate::office::{self, OfficeFile};
use crate::sheet::Format;
use crate::{pdf, picture};

/// The most parts of a message that are looked at.
const PARTS_MAX: usize = 200;
/// The longest text that is read, in octets; the page limit is reached long before.
const TEXT_MAX_OCTETS: usize = 4 * 1024 * 1024;
/// Pictures in running text smaller than this many octets are logos and dividers.
const INLINE_PICTURE_MIN_OCTETS: usize = 40 * 1024;

/// What is faxed of a message.
pub struct Content {
    /// What the person wrote.
    pub text: Vec<Block>,
    /// The attachments as pages, in order.
    pub pages: Vec<Bitmap>,
    /// The attachments that are not among them.
    pub left_out: Vec<LeftOut>,
}

/// What attachments become pages with.
pub struct Means<'m> {
    /// The fonts of text.
    pub fonts: &'m Fonts,
    /// What became of office files, in their order, but for those that the request is without.
    pub pdfs: &'m [Vec<u8>],
    /// Is told which part is drawn now, and of the end of them.
    pub tell: &'m dyn Fn(Option<usize>),
}

/// Reads a message and draws its attachments, at most `pages_max` pages of them.
///
/// # Errors
///
/// The first [`Trouble`]: a message is faxed whole or not at all, unless the request leaves
/// out what cannot be faxed.
pub fn read(
    message: &[u8],
    request: &Request,
    means: &Means<'_>,
    pages_max: usize,
) -> Result<Content, Trouble> {
    let format = Format { resolution: request.resolution, paper: request.paper };
    let (mut pdfs, mut offices) = (means.pdfs.iter(), Vec::new());
    let message = MessageParser::default().parse(message).ok_or(Trouble::Message)?;
    let mut content = Content { text: Vec::new(), pages: Vec::new(), left_out: Vec::new() };
    for (place, part) in message.parts.iter().enumerate().take(PARTS_MAX) {
        let number = place as u32;
        let is_body = message.html_body.contains(&number);
        match &part.body {
            PartType::Html(html) if is_body => {
                content.text.extend(html::blocks(shortened(html)));
            }
            PartType::Text(text) if is_body => content.text.extend(text_blocks(text, part)),
            // The same text in another form.
            PartType::Text(_) | PartType::Html(_) if message.text_body.contains(&number) => {}
            PartType::Multipart(_) => {}
            PartType::Text(_)
            | PartType::Html(_)
            | PartType::Binary(_)
            | PartType::InlineBinary(_)
            | PartType::Message(_) => {
                let known = request.without.iter().find(|without| without.part == place);
                let left = pages_max.saturating_sub(content.pages.len());
                let pages = match known {
                    Some(known) => {
                        let name = name_of(part);
                        Err(Trouble::LeftOut(LeftOut { name, why: known.why.clone() }))
                    }
                    None => {
                        (means.tell)(Some(place));
                        office(place, part).and_then(|file| match file {
                            None => attachment(part, format, means.fonts, left),
                            Some(file) => match pdfs.next() {
                                Some(pdf) => pdf::pages(&file.name, pdf.clone(), format, left),
                                None => {
                                    offices.push(file);
                                    Ok(Vec::new())
                                }
                            },
                        })
                    }
                };
                let pages = pages.map_err(|error| match error {
                    Trouble::TooManyPages { .. } => {
                        Trouble::TooManyPages { limit: request.pages_max }
                    }
                    other => other,
                });
                match pages {
                    Ok(pages) => content.pages.extend(pages),
                    Err(trouble) => content.left_out.push(left_out(request, part, trouble)?),
                }
            }
        }
    }
    (means.tell)(None);
    if !offices.is_empty() {
        return Err(Trouble::Office(offices));
    }
    if content.pages.len() > pages_max {
        return Err(Trouble::TooManyPages { limit: request.pages_max });
    }
    while content.text.last() == Some(&Block::Space) {
        content.text.pop();
    }
    Ok(content)
}

/// What is said of an attachment that the fax goes without.
///
/// # Errors
///
/// `trouble`, where there is no fax without it.
fn left_out(
    request: &Request,
    part: &MessagePart<'_>,
    trouble: Trouble,
) -> Result<LeftOut, Trouble> {
    let name = if request.names_left_out { name_of(part) } else { String::new() };
    let left_out = trouble.about_attachment(&name).filter(|_| request.leaves_out);
    left_out.ok_or(trouble)
}

/// What an attachment is called, by its type where it has no name.
fn name_of(part: &MessagePart<'_>) -> String {
    part.attachment_name().map_or_else(|| declared(part), printable)
}

/// The type that an attachment says it has.
fn declared(part: &MessagePart<'_>) -> String {
    part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("*")).to_ascii_lowercase(),
    )
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX_OCTETS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Plain text: its lines, or where it is flowed (RFC 3676) its paragraphs.
fn text_blocks(text: &str, part: &MessagePart<'_>) -> Vec<Block> {
    let parameter = |name: &str| {
        part.content_type().and_then(|kind| kind.attribute(name)).map(str::to_ascii_lowercase)
    };
    let is_flowed = parameter("format").as_deref() == Some("flowed");
    let deletes_blank = parameter("delsp").as_deref() == Some("yes");
    let text = shortened(text);
    // Columns made of blanks keep their places only in letters of one width.
    let is_in_columns = text.lines().filter(|line| line.trim().contains("    ")).count() > 1;
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    for line in text.lines() {
        let line = line.trim_end_matches('\r').replace('\t', "        ");
        let line = if is_flowed { line.strip_prefix(' ').unwrap_or(&line) } else { &line };
        let goes_on = is_flowed && line.ends_with(' ') && line != "-- ";
        if goes_on {
            paragraph.push_str(if deletes_blank { &line[..line.len() - 1] } else { line });
            continue;
        }
        paragraph.push_str(line);
        let whole = std::mem::take(&mut paragraph);
        blocks.push(match whole.trim_end() {
            "" => Block::Space,
            _ if is_in_columns => Block::Line(whole),
            line => line_block(line),
        });
    }
    if !paragraph.is_empty() {
        blocks.push(line_block(&paragraph));
    }
    blocks
}

fn line_block(line: &str) -> Block {
    let depth = line.chars().take_while(|c| *c == '>' || *c == ' ').filter(|c| *c == '>').count();
    if depth > 0 && line.starts_with('>') {
        let text = line.trim_start_matches(['>', ' ']);
        return Block::Quote(depth.min(255) as u8, vec![Span::plain(text)]);
    }
    Block::Text(vec![Span::plain(line)])
}

/// The office file that an attachment is, if it is one.
fn office(place: usize, part: &MessagePart<'_>) -> Result<Option<OfficeFile>, Trouble> {
    let name = printable(part.attachment_name().unwrap_or_default());
    match &part.body {
        PartType::Binary(octets) | PartType::InlineBinary(octets) if !octets.is_empty() => {
            office::read(place, &name, octets)
        }
        // Rich text travels as text.
        PartType::Text(text) if text.starts_with("{\\rtf") => {
            office::read(place, &name, text.as_bytes())
        }
        PartType::Text(_)
        | PartType::Html(_)
        | PartType::Binary(_)
        | PartType::InlineBinary(_)
        | PartType::Message(_)
        | PartType::Multipart(_) => Ok(None),
    }
}

/// The pages of an attachment.
fn attachment(
    part: &MessagePart<'_>,
    format: Format,
    fonts: &Fonts,
    pages_max: usize,
) -> Result<Vec<Bitmap>, Trouble> {
    let (declared, name) = (declared(part), name_of(part));
    if UNFAXED.contains(&declared.as_str()) {
        return Ok(Vec::new());
    }
    match &part.body {
        PartType::Text(text) => {
            let mut flow = Flow::new(format, fonts, pages_max);
            flow.add(&text_blocks(text, part))?;
            Ok(flow.finish())
        }
        PartType::Html(html) => {
            let mut flow = Flow::new(format, fonts, pages_max);
            flow.add(&html::blocks(shortened(html)))?;
            Ok(flow.finish())
        }
        PartType::Binary(octets) | PartType::InlineBinary(octets) => {
            let is_decoration =
                matches!(part.body, PartType::InlineBinary(_)) || part.content_id().is_some();
            let format_of = picture_format(octets);
            if is_decoration && format_of.is_some() && octets.len() < INLINE_PICTURE_MIN_OCTETS {
                return Ok(Vec::new());
            }
            if octets.is_empty() {
                return Ok(Vec::new());
            }
            if octets.starts_with(b"%PDF-") || declared == "application/pdf" {
                return pdf::pages(&name, octets.to_vec(), format, pages_max);
            }
            match format_of {
                Some(kind) => picture::pages(&name, octets, kind, format, pages_max),
                None => Err(unsupported(name, &declared, octets)),
            }
        }
        PartType::Message(_) | PartType::Multipart(_) => {
            Err(Trouble::Unsupported { name, kind: Kind::Message })
        }
    }
}

/// Parts that are for programs.
const UNFAXED: [&str; 6] = [
    "text/calendar",
    "application/ics",
    "application/pgp-signature",
    "application/pkcs7-signature",
    "application/x-pkcs7-signature",
    "text/vcard",
];

/// What a picture is by its first octets; what it is called does not matter.
fn picture_format(octets: &[u8]) -> Option<ImageFormat> {
    let is = |start: &[u8]| octets.starts_with(start);
    if is(b"\x89PNG\r\n\x1a\n") {
        Some(ImageFormat::Png)
    } else if is(b"\xff\xd8\xff") {
        Some(ImageFormat::Jpeg)
    } else if is(b"GIF87a") || is(b"GIF89a") {
        Some(ImageFormat::Gif)
    } else if is(b"RIFF") && octets.get(8..12) == Some(b"WEBP") {
        Some(ImageFormat::WebP)
    } else if is(b"II*\0") || is(b"MM\0*") {
        Some(ImageFormat::Tiff)
    } else if is(b"BM") && octets.len() > 26 {
        Some(ImageFormat::Bmp)
    } else {
        None
    }
}

fn unsupported(name: String, declared: &str, octets: &[u8]) -> Trouble {
    let extension = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    let kind = match extension.as_deref() {
        Some("dat") if declared.ends_with("ms-tnef") => Kind::Outlook,
        Some("exe" | "com" | "dll" | "msi") => Kind::Program,
        Some("mp3" | "wav" | "mp4" | "mov" | "m4a") => Kind::Recording,
        _ if octets.starts_with(b"PK\x03\x04") => Kind::Archive,
        _ => Kind::Other(declared.to_owned()),
    };
    Trouble::Unsupported { name, kind }
}

fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}
