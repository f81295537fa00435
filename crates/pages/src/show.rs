//! A fax file read again: a page as a picture that people can look at, or all of it in the
//! form that every fax program reads.

use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{GrayImage, ImageFormat};

use crate::error::Trouble;
use crate::picture;
use crate::tiff_f::{PAGES_MAX, Profile, write};

/// A fax file of ours in [`Profile::Simple`], dot for dot.
///
/// # Errors
///
/// [`Trouble`] when it is no fax file.
pub fn simple(file: &[u8]) -> Result<Vec<u8>, Trouble> {
    let (pages, resolution) = picture::fax_pages(file, PAGES_MAX)?;
    Ok(write(&pages, resolution, Profile::Simple))
}

/// Page `number`, from 1, as PNG with dots as high as wide.
///
/// # Errors
///
/// [`Trouble`] when there is no such page or the file is broken.
pub fn page(file: &[u8], number: usize) -> Result<Vec<u8>, Trouble> {
    let broken = |why: String| Trouble::Broken { name: "fax".to_owned(), why };
    let (picture, stretch) = picture::tiff_page(file, number)?;
    let picture = if (0.9..=1.1).contains(&stretch) {
        picture
    } else {
        let height = (picture.height() as f32 * stretch).round() as u32;
        resize(&picture, picture.width(), height.max(1), FilterType::Nearest)
    };
    let mut png = Cursor::new(Vec::new());
    GrayImage::write_to(&picture, &mut png, ImageFormat::Png)
        .map_err(|error| broken(error.to_string()))?;
    Ok(png.into_inner())
}
