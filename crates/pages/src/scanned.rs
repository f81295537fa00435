//! PDF pages that are pictures and nothing else, as scanners make them.
//!
//! The renderer draws every dot in colour. Of a page that is pictures alone the shades are
//! taken as they are, scaled once and laid on the page. Anything else on it, and the renderer
//! draws it. Text that is not shown, as programs that read scans put it there, is no matter.

use hayro::PixmapSettings;
use hayro::hayro_interpret::font::GlyphRun;
use hayro::hayro_interpret::hayro_syntax::page::Page;
use hayro::hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageData, ImageDrawProps,
    InterpreterCache, InterpreterSettings, SoftMask, TransformExt, interpret_page,
};
use hayro::kurbo::{Affine, BezPath, Rect, Shape};
use pic_scale::{ImageSize, ImageStore, ImageStoreMut, ResamplingFunction, Scaler};

use crate::picture::SIDE_MAX;
use crate::tone::Shades;

/// The most pictures of a page; scanners that write strips make some dozens.
const PICTURES_MAX: usize = 256;
/// The most dots of a picture.
const DOTS_MAX: u64 = 100_000_000;
/// How far a clip may fall short of the page, in dots.
const SHORT_MAX: f64 = 1.0;

/// The shades of a page that is pictures and nothing else, `settings` times as large as its
/// points. `None` for any other page.
pub fn shades<'a>(
    page: &'a Page<'a>,
    cache: &'a InterpreterCache<'a>,
    settings: &PixmapSettings,
) -> Option<Shades> {
    let (width, height) = page.render_dimensions();
    let (width, height) = ((width * settings.x_scale) as u16, (height * settings.y_scale) as u16);
    let target = Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
    let transform =
        Affine::scale_non_uniform(f64::from(settings.x_scale), f64::from(settings.y_scale))
            * page.initial_transform(true).to_kurbo();
    let mut context =
        Context::new(transform, target, cache, page.xref(), InterpreterSettings::default());
    let mut pictures = Pictures {
        canvas: Shades {
            width: usize::from(width),
            dots: vec![255; usize::from(width) * usize::from(height)],
        },
        target,
        count: 0,
        has_more: false,
    };
    interpret_page(page, &mut context, &mut pictures);
    (pictures.count > 0 && !pictures.has_more).then_some(pictures.canvas)
}

/// What a page draws, as long as it is pictures.
struct Pictures {
    canvas: Shades,
    target: Rect,
    count: usize,
    /// Whether there is anything else.
    has_more: bool,
}

impl Pictures {
    /// Lays a picture on the page; `None` where the renderer has to.
    fn lay(&mut self, image: &Image<'_, '_>, props: &ImageDrawProps<'_>) -> Option<()> {
        let Image::Raster(picture) = image else { return None };
        let (width, height) = (image.width(), image.height());
        let is_sized = (1..=SIDE_MAX).contains(&width) && (1..=SIDE_MAX).contains(&height);
        if !is_sized || u64::from(width) * u64::from(height) > DOTS_MAX {
            return None;
        }
        // Dots of the picture to dots of the page: upright, not turned and not mirrored.
        let [a, b, c, d, left, top] = props.transform.as_coeffs();
        let is_upright = b == 0.0 && c == 0.0 && a > 0.0 && d > 0.0;
        if !is_upright || props.soft_mask.is_some() || props.blend_mode != BlendMode::Normal {
            return None;
        }
        let (across, down) = (a * f64::from(width), d * f64::from(height));
        let far =
            |value: f64| !(-2.0 * f64::from(SIDE_MAX)..2.0 * f64::from(SIDE_MAX)).contains(&value);
        if far(left) || far(top) || far(across) || far(down) {
            return None;
        }
        // The edges fall between dots; each goes to the dot that is mostly inside.
        let (left, right) = (left.round() as i64, (left + across).round() as i64);
        let (top, bottom) = (top.round() as i64, (top + down).round() as i64);
        let (columns, rows) =
            (usize::try_from(right - left).ok()?, usize::try_from(bottom - top).ok()?);
        if columns == 0 || rows == 0 {
            return Some(());
        }
        if columns as u64 * rows as u64 > DOTS_MAX {
            return None;
        }
        let mut decoded = None;
        picture.with_rgba(
            |data, alpha| {
                if alpha.is_none() {
                    decoded = Some(data);
                }
            },
            Some((columns as u32, rows as u32)),
        );
        let (grey, width, height) = grey(decoded?)?;
        let scaled = scaled(grey, (width, height), (columns, rows))?;
        self.blit(&scaled, columns, left, top);
        Some(())
    }

    fn blit(&mut self, picture: &[u8], columns: usize, left: i64, top: i64) {
        let width = self.canvas.width as i64;
        let from = (-left).clamp(0, columns as i64);
        let to = (width - left).clamp(from, columns as i64);
        let rows = self.canvas.dots.chunks_exact_mut(self.canvas.width.max(1));
        for (row, line) in rows.enumerate() {
            let Ok(place) = usize::try_from(row as i64 - top) else { continue };
            let Some(dots) = picture.get(place * columns..(place + 1) * columns) else { break };
            let at = (left + from) as usize;
            let dots = &dots[from as usize..to as usize];
            line[at..at + dots.len()].copy_from_slice(dots);
        }
    }
}

/// The shades of a picture, by the weights of its colours, and its size.
fn grey(data: ImageData) -> Option<(Vec<u8>, usize, usize)> {
    let luminance = |dot: &[u8; 3]| {
        let [r, g, b] = dot.map(u16::from);
        // The weights make 256, so this stays below 65,536.
        ((r * 77 + g * 151 + b * 28) >> 8) as u8
    };
    let (dots, width, height) = match data {
        ImageData::Luma(luma) => (luma.data, luma.width, luma.height),
        ImageData::Rgb(rgb) => {
            let dots = rgb.data.as_chunks::<3>().0.iter().map(luminance).collect();
            (dots, rgb.width, rgb.height)
        }
    };
    let (width, height) = (width as usize, height as usize);
    (width > 0 && height > 0 && dots.len() == width * height).then_some((dots, width, height))
}

fn scaled(
    dots: Vec<u8>,
    (width, height): (usize, usize),
    (columns, rows): (usize, usize),
) -> Option<Vec<u8>> {
    if (width, height) == (columns, rows) {
        return Some(dots);
    }
    // As the renderer scales pictures.
    let scaler = Scaler::new(ResamplingFunction::Hermite);
    let plan = scaler
        .plan_planar_resampling(ImageSize::new(width, height), ImageSize::new(columns, rows))
        .ok()?;
    let source = ImageStore::<u8, 1>::from_slice(&dots, width, height).ok()?;
    let mut scaled = vec![0; columns * rows];
    let mut target = ImageStoreMut::<u8, 1>::from_slice(&mut scaled, columns, rows).ok()?;
    plan.resample(&source, &mut target).ok()?;
    Some(scaled)
}

impl<'a> Device<'a> for Pictures {
    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {
        self.has_more = true;
    }

    fn push_clip_path(&mut self, clip: &ClipPath) {
        // A rectangle has the area of its bounds; any other shape has less.
        let bounds = clip.path.bounding_box();
        let is_rectangle = (clip.path.area().abs() - bounds.area()).abs() < 1.0;
        let is_wide = bounds.inflate(SHORT_MAX, SHORT_MAX).contains_rect(self.target);
        self.has_more |= !is_rectangle || !is_wide;
    }

    fn push_clip_rect(&mut self, rect: &Rect) {
        self.has_more |= !rect.inflate(SHORT_MAX, SHORT_MAX).contains_rect(self.target);
    }

    fn push_transparency_group(
        &mut self,
        opacity: f32,
        mask: Option<SoftMask<'a>>,
        blend_mode: BlendMode,
    ) {
        self.has_more |= opacity < 1.0 || mask.is_some() || blend_mode != BlendMode::Normal;
    }

    fn draw_glyph_run(&mut self, _: &GlyphRun<'_, 'a>, _: DrawProps<'a>, mode: &DrawMode) {
        self.has_more |= !matches!(mode, DrawMode::Invisible);
    }

    fn draw_image(&mut self, image: Image<'a, '_>, props: ImageDrawProps<'a>) {
        self.count += 1;
        self.has_more |= self.count > PICTURES_MAX;
        if !self.has_more && self.lay(&image, &props).is_none() {
            self.has_more = true;
        }
    }

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}
}

#[cfg(test)]
mod tests {
    use hayro::hayro_syntax::Pdf;
    use hayro::vello_cpu::color::palette::css::WHITE;
    use hayro::{RenderCache, RenderSettings, render};

    use super::*;

    const SIDE: usize = 300;

    /// A PDF of one page, 216 points wide and high, with a grey picture of 300 by 300 dots.
    fn pdf(content: &str, page: &str, picture: &str) -> Pdf {
        // Light, with a dark bar above and a dark block to the right: no side is like another.
        let dot = |n: usize| {
            let (column, row) = (n % SIDE, n / SIDE);
            let is_dark = (20..40).contains(&row) || (column > 240 && (100..180).contains(&row));
            if is_dark { 20 } else { 200 + (column / 10) as u8 }
        };
        let dots: Vec<u8> = (0..SIDE * SIDE).map(dot).collect();
        let stream = |head: &str, octets: &[u8]| {
            let mut object =
                format!("<< {head} /Length {} >>\nstream\n", octets.len()).into_bytes();
            object.extend_from_slice(octets);
            object.extend_from_slice(b"\nendstream");
            object
        };
        let image = format!(
            "/Type /XObject /Subtype /Image /Width {SIDE} /Height {SIDE} /ColorSpace /DeviceGray \
             /BitsPerComponent 8 {picture}"
        );
        let objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 216 216] {page} /Contents 4 0 R \
                 /Resources << /XObject << /I 5 0 R >> /Font << /F 6 0 R >> >> >>"
            )
            .into_bytes(),
            stream("", content.as_bytes()),
            stream(&image, &dots),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
            stream(
                "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray \
                 /BitsPerComponent 8",
                &[128],
            ),
        ];
        let mut file = b"%PDF-1.7\n".to_vec();
        for (number, object) in objects.iter().enumerate() {
            file.extend(format!("{} 0 obj\n", number + 1).bytes());
            file.extend(object);
            file.extend(b"\nendobj\n");
        }
        file.extend(b"trailer << /Root 1 0 R >>\n%%EOF");
        Pdf::new(file).unwrap()
    }

    /// The shades as they are taken, and as the renderer draws them.
    fn both(pdf: &Pdf) -> (Option<Shades>, Shades) {
        let page = &pdf.pages()[0];
        let size = PixmapSettings { x_scale: 2.834, y_scale: 2.722, bg_color: WHITE };
        let cache = InterpreterCache::new();
        let taken = shades(page, &cache, &size);
        let settings =
            RenderSettings { force_image_interpolation: true, ..RenderSettings::default() };
        let settings_of = InterpreterSettings::default();
        let drawn = render(page, &RenderCache::new(), &settings_of, &settings, &size);
        let dots = drawn.data().iter().map(|dot| dot.r).collect();
        (taken, Shades { width: usize::from(drawn.width()), dots })
    }

    #[test]
    fn a_page_of_pictures_is_as_the_renderer_draws_it() {
        let full = "q 216 0 0 216 0 0 cm /I Do Q";
        let rotated = "/Rotate 0";
        for (name, content, page) in [
            ("all of the page", full, rotated),
            ("in the middle", "q 100 0 0 80 50 60 cm /I Do Q", ""),
            ("partly outside", "q 216 0 0 216 -40 30 cm /I Do Q", ""),
            ("two of them", "q 216 0 0 108 0 0 cm /I Do Q q 216 0 0 108 0 108 cm /I Do Q", ""),
            (
                "with text that is not shown",
                "q 216 0 0 216 0 0 cm /I Do Q BT /F 20 Tf 3 Tr 20 100 Td (Hidden) Tj ET",
                "",
            ),
            ("clipped to the page", "0 0 216 216 re W n q 216 0 0 216 0 0 cm /I Do Q", ""),
            ("cropped", full, "/CropBox [20 30 200 190]"),
        ] {
            let (taken, drawn) = both(&pdf(content, page, ""));
            let taken = taken.unwrap_or_else(|| panic!("{name}: it is not taken"));
            assert_eq!((taken.width, taken.dots.len()), (drawn.width, drawn.dots.len()), "{name}");
            let far = |(a, b): &(&u8, &u8)| a.abs_diff(**b) > 40;
            let far = taken.dots.iter().zip(&drawn.dots).filter(far).count();
            // Edges may lie half a dot apart: about a dot for each dot of an edge.
            assert!(far * 100 < taken.dots.len() * 2, "{name}: {far} of {}", taken.dots.len());
        }
    }

    #[test]
    fn anything_else_on_a_page_is_for_the_renderer() {
        let full = "q 216 0 0 216 0 0 cm /I Do Q";
        for (name, content, page, picture) in [
            ("text", format!("{full} BT /F 20 Tf 20 100 Td (Shown) Tj ET"), "", ""),
            ("a line", format!("{full} 10 10 m 200 200 l S"), "", ""),
            ("a filled field", format!("1 0 0 rg 10 10 50 50 re f {full}"), "", ""),
            ("a turned page", full.to_owned(), "/Rotate 90", ""),
            ("a mirrored picture", "q -216 0 0 216 216 0 cm /I Do Q".to_owned(), "", ""),
            ("a slanting picture", "q 200 20 -20 200 20 0 cm /I Do Q".to_owned(), "", ""),
            ("a clip", format!("20 20 50 50 re W n {full}"), "", ""),
            ("a round clip", "108 0 m 216 108 l 108 216 l 0 108 l W n /I Do".to_owned(), "", ""),
            ("a mask", full.to_owned(), "", "/SMask 7 0 R"),
            ("nothing", String::new(), "", ""),
        ] {
            assert!(both(&pdf(&content, page, picture)).0.is_none(), "{name} is taken");
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_for_the_renderer() {
        for content in [
            "q 100000000 0 0 100000000 0 0 cm /I Do Q",
            "q 99999999999999999999 0 0 99999999999999999999 0 0 cm /I Do Q",
            "q 216 0 0 216 99999999999999999999 0 cm /I Do Q",
        ] {
            assert!(both(&pdf(content, "", "")).0.is_none(), "{content}");
        }
        // What has no extent leaves the page as it is.
        let (taken, drawn) = both(&pdf("q 0.001 0 0 0.001 10 10 cm /I Do Q", "", ""));
        assert_eq!(taken.unwrap().dots.len(), drawn.dots.len());
    }
}
