//! Pictures to pages: PNG, JPEG, GIF, BMP, WebP and TIFF with all its pages.

use std::io::Cursor;

use fax::Resolution;
use fax::left_out::Kind;
use image::imageops::{FilterType, resize};
use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, Limits};
use tiff::decoder::ifd::Value;
use tiff::tags::Tag;

use crate::bitmap::{Bitmap, COLUMNS, COLUMNS_AN_INCH};
use crate::error::Trouble;
use crate::sheet::{BAND, Format};
use crate::tiff_f::rows_an_inch;
use crate::tone::{self, Shades, Subject};

/// The widest and highest picture that is looked at, in dots.
pub const SIDE_MAX: u32 = 20_000;
/// The most memory that decoding one takes, in octets.
const DECODE_MAX_OCTETS: u64 = 256 * 1024 * 1024;
/// A picture at least this wide or high is a page, not an illustration.
const PAGE_SIDE_MIN: u32 = 1_000;
/// Dots an inch of a picture that does not say.
const ILLUSTRATION_DOTS_AN_INCH: f32 = 96.0;
/// White around a picture that is not a whole page, in inches.
const BORDER_INCHES: f32 = 0.4;
/// A page may not be longer than so many widths, nor thinner.
const SHAPE_MAX: u32 = 40;

/// The pages of a picture; at most `pages_max`.
///
/// # Errors
///
/// [`Trouble`] says what is wrong with it, by its name.
pub fn pages(
    name: &str,
    octets: &[u8],
    format: ImageFormat,
    page: Format,
    pages_max: usize,
) -> Result<Vec<Bitmap>, Trouble> {
    if format == ImageFormat::Tiff {
        return tiff_pages(name, octets, page, pages_max);
    }
    let mut reader = ImageReader::with_format(Cursor::new(octets), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODE_MAX_OCTETS);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|error| match error {
        image::ImageError::Limits(_) => {
            Trouble::TooLarge { name: name.to_owned(), limit: SIDE_MAX }
        }
        other => Trouble::Broken { name: name.to_owned(), why: other.to_string() },
    })?;
    Ok(vec![on_page(name, &on_paper(&decoded), 1.0, page)?])
}

/// Grey, with white behind what is transparent.
fn on_paper(picture: &DynamicImage) -> GrayImage {
    if !picture.color().has_alpha() {
        return picture.to_luma8();
    }
    let dots = picture.to_luma_alpha8();
    GrayImage::from_fn(dots.width(), dots.height(), |x, y| {
        let [shade, cover] = dots.get_pixel(x, y).0;
        let (shade, cover) = (u32::from(shade), u32::from(cover));
        image::Luma([((shade * cover + 255 * (255 - cover)) / 255) as u8])
    })
}

/// One page with the picture; `stretch` is how much higher than wide its dots are.
fn on_page(
    name: &str,
    picture: &GrayImage,
    stretch: f32,
    format: Format,
) -> Result<Bitmap, Trouble> {
    let (width, height) = picture.dimensions();
    let is_shaped = width > 0
        && height > 0
        && width / height.max(1) <= SHAPE_MAX
        && height / width.max(1) <= SHAPE_MAX;
    if !is_shaped {
        return Err(Trouble::Shape { name: name.to_owned() });
    }
    let (dots, subject) = match whitened(picture) {
        Some(dots) => (dots, Subject::Page),
        None => (picture.as_raw().clone(), Subject::Picture),
    };
    let shades = Shades { width: width as usize, dots };
    let (mut shades, mut stretch) = (shades, stretch);
    let is_page = width.max(height) >= PAGE_SIDE_MIN;
    if is_page && width as f32 > height as f32 * stretch * 1.1 {
        shades = shades.turned();
        stretch = 1.0 / stretch;
    }
    // All in columns from here: a square dot of the picture is `by` columns wide.
    let rows_a_column = rows_an_inch(format.resolution) as f32 / COLUMNS_AN_INCH;
    let border = if is_page { 0.0 } else { BORDER_INCHES * COLUMNS_AN_INCH };
    let room_across = COLUMNS as f32 - 2.0 * border;
    let band = BAND * format.scale().rows_a_point / rows_a_column;
    let room_down = format.rows() as f32 / rows_a_column - band - 2.0 * border;
    let (across, down) = (shades.width as f32, shades.height() as f32 * stretch);
    let fits = (room_across / across).min(room_down / down);
    let natural = COLUMNS_AN_INCH / ILLUSTRATION_DOTS_AN_INCH;
    let by = if is_page { fits } else { fits.min(natural) };
    let target_width = ((across * by).round() as u32).clamp(1, COLUMNS as u32);
    let target_height = ((down * by * rows_a_column).round() as u32).max(1);
    let source =
        GrayImage::from_raw(shades.width as u32, shades.height() as u32, shades.dots.clone())
            .ok_or_else(|| Trouble::Shape { name: name.to_owned() })?;
    let scaled = resize(&source, target_width, target_height, FilterType::Triangle);
    let shades = Shades { width: target_width as usize, dots: scaled.into_raw() };
    let left = (COLUMNS - target_width as usize) / 2;
    let top = ((band + border) * rows_a_column) as usize;
    let mut page = Bitmap::white(format.rows());
    tone::place(&mut page, &shades, subject, left, top);
    Ok(page)
}

/// The shades of a scan or drawing, its grey or yellow paper made white and its ink black;
/// `None` where there is no paper: then it is a photograph.
fn whitened(picture: &GrayImage) -> Option<Vec<u8>> {
    /// Paper is one shade on at least so much of a scan, in percent, give or take [`NEAR`].
    const PAPER_PERCENT: usize = 45;
    const NEAR: usize = 20;
    const LIGHTEST_PAPER: usize = 255;
    const DARKEST_PAPER: usize = 150;
    /// Ink is the darkest dots of the page: so many of a thousand.
    const INK_PERMILLE: usize = 5;
    let mut counts = [0_usize; 256];
    for dot in picture.as_raw() {
        counts[usize::from(*dot)] += 1;
    }
    let near = |shade: usize| -> usize {
        counts[shade.saturating_sub(NEAR)..=(shade + NEAR).min(255)].iter().sum()
    };
    let all = picture.as_raw().len();
    // Of shades that hold as many, the lightest.
    let paper = (DARKEST_PAPER..=LIGHTEST_PAPER).max_by_key(|shade| near(*shade))?;
    if near(paper) * 100 < all * PAPER_PERCENT {
        return None;
    }
    let white = paper - NEAR;
    let mut darker = 0;
    let ink = counts.iter().position(|count| {
        darker += count;
        darker * 1_000 >= all * INK_PERMILLE
    })?;
    // Where there is next to no ink, nothing is made darker.
    let ink = if ink < white / 2 { ink } else { 0 };
    let stretched = |dot: &u8| {
        let above = usize::from(*dot).saturating_sub(ink);
        (above * 255 / (white - ink)).min(255) as u8
    };
    Some(picture.as_raw().iter().map(stretched).collect())
}

fn tiff_pages(
    name: &str,
    octets: &[u8],
    page: Format,
    pages_max: usize,
) -> Result<Vec<Bitmap>, Trouble> {
    let mut reader = TiffReader::open(name, octets)?;
    let mut pages = Vec::new();
    loop {
        if pages.len() >= pages_max {
            return Err(Trouble::TooManyPages { limit: pages_max });
        }
        let (picture, stretch) = reader.read()?;
        pages.push(on_page(name, &picture, stretch, page)?);
        if !reader.next()? {
            return Ok(pages);
        }
    }
}

/// Page `number`, from 1, of a file, and how much higher than wide its dots are.
pub(crate) fn tiff_page(octets: &[u8], number: usize) -> Result<(GrayImage, f32), Trouble> {
    let mut reader = TiffReader::open("fax", octets)?;
    for _ in 1..number {
        if !reader.next()? {
            let why = format!("it has no page {number}");
            return Err(Trouble::Broken { name: "fax".to_owned(), why });
        }
    }
    reader.read()
}

/// The pages of a fax file, at most `pages_max`, dot for dot, and how fine they are.
pub(crate) fn fax_pages(
    octets: &[u8],
    pages_max: usize,
) -> Result<(Vec<Bitmap>, Resolution), Trouble> {
    let mut reader = TiffReader::open("fax", octets)?;
    let (mut pages, mut resolution) = (Vec::new(), Resolution::Fine);
    while pages.len() < pages_max {
        let (picture, stretch) = reader.read()?;
        if picture.width() as usize != COLUMNS {
            let why = format!("a page has {} columns", picture.width());
            return Err(Trouble::Broken { name: "fax".to_owned(), why });
        }
        resolution = match stretch {
            // Dots an inch across by rows an inch: 204 by 98, 196 or 391.
            stretch if stretch > 1.5 => Resolution::Standard,
            stretch if stretch < 0.75 => Resolution::Superfine,
            _ => Resolution::Fine,
        };
        let packed = picture
            .as_raw()
            .chunks_exact(8)
            .map(|dots| dots.iter().fold(0_u8, |octet, &shade| octet << 1 | u8::from(shade < 128)));
        pages.push(Bitmap::from_octets(packed.collect()));
        if !reader.next()? {
            break;
        }
    }
    Ok((pages, resolution))
}

/// A TIFF file, page by page.
struct TiffReader<'a> {
    name: &'a str,
    decoder: tiff::decoder::Decoder<Cursor<&'a [u8]>>,
}

impl<'a> TiffReader<'a> {
    fn open(name: &'a str, octets: &'a [u8]) -> Result<Self, Trouble> {
        let mut limits = tiff::decoder::Limits::default();
        limits.decoding_buffer_size = DECODE_MAX_OCTETS as usize;
        let decoder = tiff::decoder::Decoder::new(Cursor::new(octets))
            .map_err(|error| trouble(name, error))?
            .with_limits(limits);
        Ok(Self { name, decoder })
    }

    fn read(&mut self) -> Result<(GrayImage, f32), Trouble> {
        let name = self.name;
        let trouble = |error| trouble(name, error);
        let (width, height) = self.decoder.dimensions().map_err(trouble)?;
        if width > SIDE_MAX || height > SIDE_MAX {
            return Err(Trouble::TooLarge { name: name.to_owned(), limit: SIDE_MAX });
        }
        let stretch = dots_higher_than_wide(&mut self.decoder);
        let kind = self.decoder.colortype().map_err(trouble)?;
        let read = self.decoder.read_image().map_err(trouble)?;
        let picture = grey(kind, read, width, height)
            .ok_or_else(|| Trouble::Unsupported { name: name.to_owned(), kind: Kind::Tiff })?;
        Ok((picture, stretch))
    }

    /// Goes to the next page, if there is one.
    fn next(&mut self) -> Result<bool, Trouble> {
        if !self.decoder.more_images() {
            return Ok(false);
        }
        self.decoder.next_image().map_err(|error| trouble(self.name, error))?;
        Ok(true)
    }
}

fn trouble(name: &str, error: tiff::TiffError) -> Trouble {
    match error {
        tiff::TiffError::LimitsExceeded => {
            Trouble::TooLarge { name: name.to_owned(), limit: SIDE_MAX }
        }
        other => Trouble::Broken { name: name.to_owned(), why: other.to_string() },
    }
}

/// Fax pages have dots that are not square.
fn dots_higher_than_wide(decoder: &mut tiff::decoder::Decoder<Cursor<&[u8]>>) -> f32 {
    let mut resolution = |tag| match decoder.find_tag(tag) {
        Ok(Some(Value::Rational(over, under))) if over > 0 && under > 0 => {
            Some(over as f32 / under as f32)
        }
        Ok(_) | Err(_) => None,
    };
    match (resolution(Tag::XResolution), resolution(Tag::YResolution)) {
        (Some(across), Some(down)) => (across / down).clamp(0.25, 4.0),
        (Some(_) | None, _) => 1.0,
    }
}

fn grey(
    kind: tiff::ColorType,
    read: tiff::decoder::DecodingResult,
    width: u32,
    height: u32,
) -> Option<GrayImage> {
    use tiff::ColorType;
    use tiff::decoder::DecodingResult;
    let DecodingResult::U8(octets) = read else { return None };
    let picture = match kind {
        ColorType::Gray(1) => {
            let row = (width as usize).div_ceil(8);
            let dots = octets.chunks(row).take(height as usize).flat_map(|row| {
                (0..width as usize).map(move |at| {
                    let is_set = row.get(at / 8).is_some_and(|b| b & (0x80 >> (at % 8)) != 0);
                    if is_set { 255 } else { 0 }
                })
            });
            return GrayImage::from_raw(width, height, dots.collect());
        }
        ColorType::Gray(8) => DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, octets)?),
        ColorType::RGB(8) => {
            DynamicImage::ImageRgb8(image::RgbImage::from_raw(width, height, octets)?)
        }
        ColorType::RGBA(8) => {
            DynamicImage::ImageRgba8(image::RgbaImage::from_raw(width, height, octets)?)
        }
        _ => return None,
    };
    Some(on_paper(&picture))
}
