//! A page of a fax file as a picture that people can look at.

use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{GrayImage, ImageFormat};

use crate::error::Trouble;
use crate::picture;

/// Page `number`, from 1, as PNG with dots as high as wide.
///
/// # Errors
///
/// [`Trouble`] when there is no such page or the file is broken.
pub fn page(file: &[u8], number: usize) -> Result<Vec<u8>, Trouble> {
    let broken = |why: String| Trouble::Broken { name: "fax".to_owned(), why };
    let (picture, stretch) = picture::tiff_page(file, number)?;
    let picture = if stretch > 1.1 || stretch < 0.9 {
        let height = (picture.height() as f32 * stretch).round() as u32;
        resize(&picture, picture.width(), height.max(1), FilterType::Nearest)
    } else {
        picture
    };
    let mut png = Cursor::new(Vec::new());
    GrayImage::write_to(&picture, &mut png, ImageFormat::Png)
        .map_err(|error| broken(error.to_string()))?;
    Ok(png.into_inner())
}
