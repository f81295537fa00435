//! Cover pages, from templates.

use fax::template::{Line, Template, fill};
use fax::work::Fields;

use crate::error::Trouble;
use crate::flow::{Block, Flow, Span};
use crate::letters::{Face, Fonts};
use crate::paragraph::Paragraph;
use crate::sheet::{BOTTOM, Format, MARGIN, Sheet, TOP, WIDTH, width};

/// Sizes in points.
const TITLE: f32 = 24.0;
const FIELD: f32 = 11.0;
const NOTICE: f32 = 8.5;
/// Between the longest label and the values, in points.
const LABEL_GAP: f32 = 18.0;
/// More lines than this of one value are left out.
const LINES_MAX: usize = 12;

/// The cover page with `note` and `text` on it, and the pages that they go on to. The note is
/// there also where the template has no place for text.
///
/// # Errors
///
/// [`Trouble::TooManyPages`].
pub fn draw(
    template: &Template,
    fields: &Fields,
    (note, text): (&[Block], &[Block]),
    format: Format,
    fonts: &Fonts,
    pages_max: usize,
) -> Result<Vec<crate::Bitmap>, Trouble> {
    let mut sheet = Sheet::new(format, fonts);
    let mut at = TOP + 12.0;
    let right = WIDTH - MARGIN;
    let value_left = MARGIN + label_width(template, fonts) + LABEL_GAP;
    let mut bottom = format.height() - BOTTOM;
    for line in &template.lines {
        match line {
            Line::Title(left, title) => {
                at += TITLE;
                let title = fill(fields, title);
                let from = right - width(fonts, Face::Bold, TITLE, &title);
                sheet.write(Face::Bold, TITLE, from, at, &title);
                let left = fill(fields, left);
                // A long name is written smaller rather than into the title.
                let wide = width(fonts, Face::Bold, TITLE * 0.75, &left);
                let room = from - MARGIN - 20.0;
                let size = TITLE * 0.75 * (room / wide.max(1.0)).min(1.0);
                sheet.write(Face::Bold, size, MARGIN, at, &left);
                at += 8.0;
            }
            Line::Field(label, value) => {
                let value = fill(fields, value);
                if value.is_empty() {
                    continue;
                }
                sheet.write(Face::Bold, FIELD, MARGIN, at + FIELD, label);
                let value = Paragraph::new(fonts, &[Span::plain(value)], Face::Sans, FIELD);
                for line in value.lines(right - value_left).into_iter().take(LINES_MAX) {
                    // Beside its label, also where the writing goes to the left.
                    value.write_line(&mut sheet, line, value_left, 0.0, at + FIELD);
                    at += FIELD * 1.55;
                }
            }
            Line::Rule => {
                sheet.rule(MARGIN, right, at + 4.0, 1.2);
                at += 16.0;
            }
            Line::Body => {}
            Line::Notice(notice) => {
                let room = right - MARGIN - 16.0;
                let notice = [Span::plain(fill(fields, notice))];
                let notice = Paragraph::new(fonts, &notice, Face::Sans, NOTICE);
                let lines: Vec<_> = notice.lines(room).into_iter().take(LINES_MAX).collect();
                let height = NOTICE * 1.35 * lines.len() as f32 + 14.0;
                if lines.is_empty() {
                    continue;
                }
                bottom -= height;
                for (edge, thick) in [(bottom, 0.8), (bottom + height, 0.8)] {
                    sheet.rule(MARGIN, right, edge, thick);
                }
                for (number, line) in (1_u16..).zip(lines) {
                    let standing = bottom + 4.0 + NOTICE * 1.35 * f32::from(number);
                    notice.write_line(&mut sheet, line, MARGIN + 8.0, room, standing);
                }
                bottom -= 10.0;
            }
        }
    }
    let has_body = template.lines.contains(&Line::Body);
    let mut flow = Flow::on(sheet, at + 6.0, bottom, format, fonts, pages_max);
    flow.add(note)?;
    if has_body {
        flow.add(text)?;
    }
    Ok(flow.finish())
}

/// The width of the longest label, in points.
fn label_width(template: &Template, fonts: &Fonts) -> f32 {
    let labels = template.lines.iter().filter_map(|line| match line {
        Line::Field(label, _) => Some(width(fonts, Face::Bold, FIELD, label)),
        Line::Title(..) | Line::Rule | Line::Body | Line::Notice(_) => None,
    });
    labels.fold(0.0, f32::max)
}
