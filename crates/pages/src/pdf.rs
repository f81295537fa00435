//! PDF to pages.

use hayro::hayro_interpret::{InterpreterCache, InterpreterSettings};
use hayro::hayro_syntax::page::Page;
use hayro::hayro_syntax::{LoadPdfError, Pdf};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};

use crate::bitmap::{Bitmap, COLUMNS};
use crate::error::Trouble;
use crate::scanned;
use crate::sheet::{Format, WIDTH};
use crate::tone::{self, Shades, Subject};

/// Pages smaller than this in a direction are not drawn, in points.
const SIDE_MIN: f32 = 8.0;
/// Pages longer than this are not drawn, in points: about seven metres.
const SIDE_MAX: f32 = 20_000.0;
/// A page that is wider than high by more than this is turned.
const TURNED_MIN: f32 = 1.05;

/// The pages of a document; at most `pages_max`.
///
/// # Errors
///
/// [`Trouble`] says what is wrong with it, by its name.
pub fn pages(
    name: &str,
    octets: Vec<u8>,
    format: Format,
    pages_max: usize,
) -> Result<Vec<Bitmap>, Trouble> {
    let pdf = Pdf::new(octets).map_err(|error| match error {
        LoadPdfError::Decryption(_) => Trouble::Password { name: name.to_owned() },
        LoadPdfError::Invalid => {
            Trouble::Broken { name: name.to_owned(), why: "it is no complete PDF".to_owned() }
        }
    })?;
    let pages = pdf.pages();
    if pages.len() > pages_max {
        return Err(Trouble::TooManyPages { limit: pages_max });
    }
    let (cache, pictures) = (RenderCache::new(), InterpreterCache::new());
    pages
        .iter()
        .map(|page| {
            draw(page, &cache, &pictures, format)
                .ok_or_else(|| Trouble::Shape { name: name.to_owned() })
        })
        .collect()
}

fn draw<'a>(
    page: &'a Page<'a>,
    cache: &RenderCache<'a>,
    pictures: &'a InterpreterCache<'a>,
    format: Format,
) -> Option<Bitmap> {
    let (width, height) = page.render_dimensions();
    let is_drawable = |side: f32| (SIDE_MIN..=SIDE_MAX).contains(&side);
    if !is_drawable(width) || !is_drawable(height) {
        return None;
    }
    let is_turned = width > height * TURNED_MIN;
    let (across, down) = if is_turned { (height, width) } else { (width, height) };
    // Never larger than it is, and smaller only if it must be.
    let by = (WIDTH / across).min(format.height() / down).min(1.0);
    let scale = format.scale();
    let (columns, rows) = (scale.columns_a_point * by, scale.rows_a_point * by);
    let (x_scale, y_scale) = if is_turned { (rows, columns) } else { (columns, rows) };
    let size = PixmapSettings { x_scale, y_scale, bg_color: WHITE };
    let shades = match scanned::shades(page, pictures, &size) {
        Some(shades) => shades,
        None => rendered(page, cache, &size),
    };
    let shades = if is_turned { shades.turned() } else { shades };
    let mut bitmap = Bitmap::white(format.rows());
    let left = COLUMNS.saturating_sub(shades.width) / 2;
    tone::place(&mut bitmap, &shades, Subject::Page, left, 0);
    Some(bitmap)
}

/// The shades of any page.
fn rendered<'a>(page: &'a Page<'a>, cache: &RenderCache<'a>, size: &PixmapSettings) -> Shades {
    let settings = RenderSettings { force_image_interpolation: true, ..RenderSettings::default() };
    let drawn = render(page, cache, &InterpreterSettings::default(), &settings, size);
    let luminance = |dot: &_| {
        let hayro::vello_cpu::color::PremulRgba8 { r, g, b, a: _ } = *dot;
        // The weights make 256, so this stays below 65,536.
        ((u16::from(r) * 77 + u16::from(g) * 151 + u16::from(b) * 28) >> 8) as u8
    };
    Shades { width: usize::from(drawn.width()), dots: drawn.data().iter().map(luminance).collect() }
}
