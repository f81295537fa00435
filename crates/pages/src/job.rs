//! From a message to the files of its faxes.

use fax::Cover;
use fax::template::{Template, confidentiality};
use fax::work::{Fields, Missing, Request};

use crate::bitmap::Bitmap;
use crate::coding::Coding;
use crate::cover;
use crate::error::Trouble;
use crate::flow::Flow;
use crate::letters::{Face, Fonts};
use crate::message::{self, Content};
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
}

/// The size of the header line, in points.
const HEADER: f32 = 8.0;

/// Draws the faxes of a message with fonts that are loaded. `pdfs` are what became of its
/// office files, in their order; without them the answer is [`Trouble::Office`].
///
/// # Errors
///
/// [`Trouble`] in words for the sender.
pub fn draw(
    request: &Request,
    fonts: &Fonts,
    pdfs: &[Vec<u8>],
    message: &[u8],
) -> Result<Drawn, Trouble> {
    let format = Format { resolution: request.resolution, paper: request.paper };
    let template = match &request.template {
        Some(text) => Template::parse(text)?,
        None => Template::of(request.language)?,
    };
    let content = message::read(message, format, fonts, pdfs, request.pages_max)?;
    if content.text.is_empty() && content.pages.is_empty() {
        return Err(Trouble::Nothing);
    }
    let mut faxes = Vec::with_capacity(request.recipients.len());
    for fields in &request.recipients {
        let front = front(request, &template, fields, &content, format, fonts)?;
        let count = front.len() + content.pages.len();
        if count > request.pages_max {
            return Err(Trouble::TooManyPages { limit: request.pages_max });
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
    Ok(Drawn { faxes, missing: fonts.missing() })
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
    if !has_cover {
        if content.text.is_empty() {
            return Ok(Vec::new());
        }
        let mut flow = Flow::new(format, fonts, request.pages_max);
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
        let front =
            cover::draw(template, &fields, &content.text, format, fonts, request.pages_max)?;
        let found = front.len() + content.pages.len();
        // The number is one line whatever it is, so the second time it is right.
        if found <= count {
            return Ok(front);
        }
        count = found;
    }
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
