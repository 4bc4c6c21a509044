//! A folder of PNG and JPEG images.
//!
//! The items are the files whose names end in `.png`, `.jpg` or `.jpeg` in either case, in byte-wise order of their names.
//! Where the folder itself has none, those of its folders are taken, folder by folder in byte-wise order, one level deep.
//! Names that begin with a dot are passed over. Which of the two formats a file has is decided by its contents.
//!
//! Numbers are 0 to 255; those of 16-bit images are divided by 257 to get there. Palettes are looked up. An alpha channel
//! that hides nothing is dropped; one that does is refused. Orientation tags and colour profiles are ignored.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader, Limits};

use super::array::{Array, MAX_VALUES, PIXEL_FULL_SCALE};
use super::layout::channels_first;
use super::{file, DataError, Layout, Resize};

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Longest side of an image that is decoded.
const MAX_SIDE: u32 = 1 << 14;
/// Most bytes that decoding one image may take.
const MAX_IMAGE_BYTES: u64 = 1 << 30;

/// Reads every image of `directory` as `[n, H, W]` where all are grey or as `[n, 3, H, W]` where all are in colour, each
/// brought to the size that `resize` asks for. [`Layout::Nhw`] insists on grey; [`Layout::Nchw`] and [`Layout::Nhwc`]
/// insist on colour and repeat grey in three channels.
pub(super) fn load(directory: &Path, layout: Option<Layout>, resize: Option<Resize>) -> Result<Array, DataError> {
    let files = listing(directory)?;
    let mut first: Option<(&Path, Picture)> = None;
    let mut values = Vec::new();
    for path in &files {
        let picture = Picture::read(path)?.with_channels(layout, path)?;
        let picture = match resize {
            Some(resize) => picture.resized(resize, path)?,
            None => picture,
        };
        match &first {
            None => reserve(&mut values, files.len(), &picture, directory)?,
            Some((first, of)) => picture.check_alike(path, of, first)?,
        }
        values.extend_from_slice(&picture.values);
        if first.is_none() {
            first = Some((path, Picture { values: Vec::new(), ..picture }));
        }
    }
    let Some((_, Picture { channels, rows, columns, .. })) = first else {
        return Err(DataError::NoImages { path: directory.to_owned() });
    };
    let shape =
        if channels == 1 { vec![files.len(), rows, columns] } else { vec![files.len(), channels, rows, columns] };
    Ok(Array { name: directory.display().to_string(), shape, values, full_scale: PIXEL_FULL_SCALE })
}

fn reserve(values: &mut Vec<f32>, count: usize, picture: &Picture, directory: &Path) -> Result<(), DataError> {
    let total = count.checked_mul(picture.values.len()).filter(|&total| total <= MAX_VALUES);
    let Some(total) = total else {
        let reason = format!("{count} images of {}x{} pixels are more than 2^30 values", picture.rows, picture.columns);
        return Err(DataError::BadImage { path: directory.to_owned(), reason });
    };
    values.reserve_exact(total);
    Ok(())
}

/// The image files of a folder, or of the folders in it.
fn listing(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    let (images, folders) = entries(directory)?;
    if !images.is_empty() {
        return Ok(images);
    }
    let mut below = Vec::new();
    for folder in &folders {
        below.extend(entries(folder)?.0);
    }
    Ok(below)
}

/// The image files and the folders in a folder, each in byte-wise order of their names.
fn entries(directory: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let unreadable = |source| DataError::Io { path: directory.to_owned(), source };
    let (mut images, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
        if path.is_dir() {
            folders.push(path);
        } else if extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) {
            images.push(path);
        }
    }
    for found in [&mut images, &mut folders] {
        found.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    }
    Ok((images, folders))
}

/// One image, plane by plane.
struct Picture {
    /// 1 or 3.
    channels: usize,
    rows: usize,
    columns: usize,
    /// `[channels, rows, columns]`, 0 to 255.
    values: Vec<f32>,
}

impl Picture {
    fn read(path: &Path) -> Result<Self, DataError> {
        decode(&file::read(path)?).map_err(|reason| DataError::BadImage { path: path.to_owned(), reason })
    }

    fn with_channels(mut self, layout: Option<Layout>, path: &Path) -> Result<Self, DataError> {
        match (layout, self.channels) {
            (Some(Layout::Nhw), 3) => Err(DataError::Unsuitable {
                name: path.display().to_string(),
                option: "--layout nhw".to_owned(),
                reason: "it is in colour; convert it to grey or use --layout nchw".to_owned(),
            }),
            (Some(Layout::Nchw | Layout::Nhwc), 1) => {
                self.values = self.values.repeat(3);
                self.channels = 3;
                Ok(self)
            }
            _ => Ok(self),
        }
    }

    fn resized(self, resize: Resize, path: &Path) -> Result<Self, DataError> {
        let Self { channels, rows, columns, values } = self;
        resize.check()?;
        resize.fits(&path.display().to_string(), rows, columns)?;
        let mut into = Vec::new();
        for plane in values.chunks_exact((rows * columns).max(1)) {
            resize.plane(plane, rows, columns, &mut into);
        }
        let (rows, columns) = resize.size();
        Ok(Self { channels, rows, columns, values: into })
    }

    /// Fails unless the picture in `path` has the channels and the size of the one in `first`.
    fn check_alike(&self, path: &Path, of: &Self, first: &Path) -> Result<(), DataError> {
        let (path, first) = (path.to_owned(), first.to_owned());
        if self.channels != of.channels {
            let (grey, colour) = if self.channels == 1 { (path, first) } else { (first, path) };
            return Err(DataError::MixedChannels { grey, colour });
        }
        let (found, expected) = ((self.rows, self.columns), (of.rows, of.columns));
        if found != expected {
            return Err(DataError::ImageSize { path, found, first, expected });
        }
        Ok(())
    }
}

/// Channels, rows, columns and planes of a PNG or JPEG file, or why there are none.
#[cfg(any(feature = "fetch", test))]
pub(super) fn decode_bytes(bytes: &[u8]) -> Result<(usize, usize, usize, Vec<f32>), String> {
    decode(bytes).map(|Picture { channels, rows, columns, values }| (channels, rows, columns, values))
}

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_IMAGE_BYTES);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| error.to_string())?;
    // At most `MAX_SIDE`.
    let (rows, columns) = (image.height() as usize, image.width() as usize);
    let wide = |sample: u16| f32::from(sample) / 257.0;
    let (channels, pixels) = match &image {
        DynamicImage::ImageLuma8(image) => (1, samples::<1, _>(image, None, f32::from)?),
        DynamicImage::ImageLumaA8(image) => (1, samples::<2, _>(image, Some(u8::MAX), f32::from)?),
        DynamicImage::ImageRgb8(image) => (3, samples::<3, _>(image, None, f32::from)?),
        DynamicImage::ImageRgba8(image) => (3, samples::<4, _>(image, Some(u8::MAX), f32::from)?),
        DynamicImage::ImageLuma16(image) => (1, samples::<1, _>(image, None, wide)?),
        DynamicImage::ImageLumaA16(image) => (1, samples::<2, _>(image, Some(u16::MAX), wide)?),
        DynamicImage::ImageRgb16(image) => (3, samples::<3, _>(image, None, wide)?),
        DynamicImage::ImageRgba16(image) => (3, samples::<4, _>(image, Some(u16::MAX), wide)?),
        other => return Err(format!("pixels of type {:?} are not supported", other.color())),
    };
    Ok(Picture { channels, rows, columns, values: channels_first(&pixels, rows * columns, channels) })
}

/// The samples of `STEP` per pixel as numbers, without the last one of each pixel where that is an alpha of `opaque`.
fn samples<const STEP: usize, T: Copy + PartialEq>(
    samples: &[T],
    opaque: Option<T>,
    number: impl Fn(T) -> f32,
) -> Result<Vec<f32>, String> {
    let Some(opaque) = opaque else { return Ok(samples.iter().copied().map(number).collect()) };
    let mut numbers = Vec::with_capacity(samples.len());
    for pixel in samples.chunks_exact(STEP) {
        let Some((alpha, colours)) = pixel.split_last() else { continue };
        if *alpha != opaque {
            return Err("it has transparent pixels, whose colour depends on what is behind; flatten it".to_owned());
        }
        numbers.extend(colours.iter().copied().map(&number));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests;
