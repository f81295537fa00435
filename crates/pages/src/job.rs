//! From a message to the files of its faxes.

use fax::template::{Template, confidentiality};
use fax::work::{Fields, Missing, Request};
use fax::{Cover, LeftOut};

use crate::bitmap::Bitmap;
use crate::coding::Coding;
use crate::cover;
use crate::error::Trouble;
use crate::flow::{Block, Flow, Span};
use crate::letters::{Face, Fonts};
use crate::message::{self, Content, Means};
use crate::sheet::{BAND, Format, MARGIN, Sheet, WIDTH, width};
use crate::tiff_f::{self, Profile};

/// One fax, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fax {
    /// How many pages it has.
    pub pages: usize,
    /// The pages as TIFF-F, profile F with MMR.
    pub tiff: Vec<u8>,
}

/// The faxes of a message, one for each recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// In the order of the recipients.
    pub faxes: Vec<Fax>,
    /// Characters that no font has; a box stands for each.
    pub missing: Missing,
    /// Attachments that are not in them.
    pub left_out: Vec<LeftOut>,
}

/// The size of the header line, in points.
const HEADER: f32 = 8.0;

/// How often room is made for the pages before the attachments by leaving out attachments.
const ROUNDS_MAX: usize = 3;

/// Draws the faxes of a message. Without the PDFs of its office files the answer is
/// [`Trouble::Office`].
///
/// # Errors
///
/// [`Trouble`] in words for the sender.
pub fn draw(request: &Request, means: &Means<'_>, message: &[u8]) -> Result<Drawn, Trouble> {
    let template = match &request.template {
        Some(text) => Template::parse(text)?,
        None => Template::of(request.language)?,
    };
    let mut room = request.pages_max;
    for _ in 0..ROUNDS_MAX {
        let content = message::read(message, request, means, room)?;
        if content.text.is_empty() && content.pages.is_empty() {
            let first = content.left_out.into_iter().next();
            return Err(first.map_or(Trouble::Nothing, Trouble::LeftOut));
        }
        match faxes(request, &template, &content, means.fonts)? {
            Ok(faxes) => {
                let (missing, left_out) = (means.fonts.missing(), content.left_out);
                return Ok(Drawn { faxes, missing, left_out });
            }
            Err(front) if request.leaves_out => {
                room = room.min(request.pages_max.saturating_sub(front));
            }
            Err(_) => break,
        }
    }
    Err(Trouble::TooManyPages { limit: request.pages_max })
}

/// The faxes; or, where one would have too many pages, how many of them stand before its
/// attachments.
fn faxes(
    request: &Request,
    template: &Template,
    content: &Content,
    fonts: &Fonts,
) -> Result<Result<Vec<Fax>, usize>, Trouble> {
    let format = Format { resolution: request.resolution, paper: request.paper };
    let mut faxes = Vec::with_capacity(request.recipients.len());
    for fields in &request.recipients {
        let front = front(request, template, fields, content, format, fonts)?;
        let count = front.len() + content.pages.len();
        if count > request.pages_max {
            return Ok(Err(front.len()));
        }
        let all = front.into_iter().chain(content.pages.iter().cloned());
        let headed: Vec<Bitmap> = (1..)
            .zip(all)
            .map(|(number, page)| headed(page, fields, (number, count), format, fonts))
            .collect();
        let profile = Profile::Extended(Coding::Mmr);
        let tiff = tiff_f::write(&headed, request.resolution, profile);
        faxes.push(Fax { pages: count, tiff });
    }
    Ok(Ok(faxes))
}

/// The pages before the attachments: the cover page, or the text alone.
fn front(
    request: &Request,
    template: &Template,
    fields: &Fields,
    content: &Content,
    format: Format,
    fonts: &Fonts,
) -> Result<Vec<Bitmap>, Trouble> {
    let has_cover = match request.cover {
        Cover::Always => true,
        Cover::Text => !content.text.is_empty(),
        Cover::Never => false,
    };
    let note = note(request, content);
    if !has_cover {
        if content.text.is_empty() && note.is_empty() {
            return Ok(Vec::new());
        }
        let mut flow = Flow::new(format, fonts, request.pages_max);
        flow.add(&note)?;
        flow.add(&content.text)?;
        return Ok(flow.finish());
    }
    // How many pages there are is known only when they are drawn, and stands on the first.
    let mut count = 1 + content.pages.len();
    loop {
        let pages = count.to_string();
        let notice = match fields.notice.as_str() {
            "" => confidentiality(request.language).to_owned(),
            own => own.to_owned(),
        };
        let fields = Fields { pages, notice, ..fields.clone() };
        let body = (note.as_slice(), content.text.as_slice());
        let front = cover::draw(template, &fields, body, format, fonts, request.pages_max)?;
        let found = front.len() + content.pages.len();
        // The number is one line whatever it is, so the second time it is right.
        if found <= count {
            return Ok(front);
        }
        count = found;
    }
}

/// What the fax says of attachments that are not in it, above its text: there it is not
/// overlooked, however long the text is.
fn note(request: &Request, content: &Content) -> Vec<Block> {
    if content.left_out.is_empty() {
        return Vec::new();
    }
    let headline = LeftOut::headline(request.language).to_owned();
    let mut note = vec![Block::Text(vec![Span { text: headline, bold: true, breaks: false }])];
    for left_out in &content.left_out {
        let words = left_out.in_words(request.language);
        note.push(Block::Item("\u{2022}".to_owned(), 1, vec![Span::plain(words)]));
    }
    note.extend([Block::Rule, Block::Space]);
    note
}

/// The page with its header line: who sends, when, to whom, which page of how many. The law
/// of several countries asks for it (47 CFR 68.318(d)). A page that has something there
/// already is moved below it, made a little smaller at its foot if it must.
fn headed(
    page: Bitmap,
    fields: &Fields,
    (number, count): (usize, usize),
    format: Format,
    fonts: &Fonts,
) -> Bitmap {
    let band = (BAND * format.scale().rows_a_point) as usize;
    let mut sheet = Sheet::over(below(page, band), format, fonts);
    let line = BAND * 0.6;
    let from = match (fields.organisation.as_str(), fields.from_number.as_str()) {
        ("", number) => number.to_owned(),
        (name, "") => name.to_owned(),
        (name, number) => format!("{name}  {number}"),
    };
    let of = format!("{number}/{count}");
    let middle = format!("{}   \u{2192} {}", fields.date, fields.number);
    let left = MARGIN * 0.6;
    let right = WIDTH - left;
    let written = sheet.write(Face::Bold, HEADER, left, line, &shortened(&from));
    let wide = width(fonts, Face::Sans, HEADER, &middle);
    let centre = ((WIDTH - wide) / 2.0).max(written + 10.0);
    sheet.write(Face::Sans, HEADER, centre, line, &middle);
    sheet.write(Face::Bold, HEADER, right - width(fonts, Face::Bold, HEADER, &of), line, &of);
    sheet.rule(left, right, BAND * 0.75, 0.4);
    sheet.into_bitmap()
}

/// The longest sender in a header line, in characters.
const FROM_MAX_CHARS: usize = 44;

fn shortened(text: &str) -> String {
    text.chars().take(FROM_MAX_CHARS).collect()
}

/// The page with nothing in its first `band` rows.
fn below(page: Bitmap, band: usize) -> Bitmap {
    let rows = page.rows();
    let row_is_blank = |row: &[u8]| row.iter().all(|&octet| octet == 0);
    let first = page.iter_rows().position(|row| !row_is_blank(row)).unwrap_or(rows);
    if first >= band || band >= rows {
        return page;
    }
    let last = rows - page.iter_rows().rev().position(|row| !row_is_blank(row)).unwrap_or(0);
    let shift = band - first;
    let mut moved = Vec::with_capacity(page.as_octets().len());
    moved.extend(std::iter::repeat_n(0, shift * crate::bitmap::ROW_OCTETS));
    if last + shift <= rows {
        let fits = page.iter_rows().take(rows - shift);
        moved.extend(fits.flatten());
        return Bitmap::from_octets(moved);
    }
    // No room below: rows are merged evenly, black winning, so that no thin line is lost.
    let room = rows - band;
    let mut squeezed = Bitmap::white(rows);
    for (number, row) in page.iter_rows().enumerate().skip(first) {
        let target = band + (number - first) * room / (rows - first);
        squeezed.merge(row, target);
    }
    squeezed
}
