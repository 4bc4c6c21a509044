//! Folders of images written by the `image` crate, and bytes that are none.

use super::*;
use crate::data::{Dataset, Preprocessing};
use image::{GrayAlphaImage, GrayImage, ImageFormat, RgbImage, RgbaImage};
use proptest::prelude::*;
use tempfile::TempDir;

type Grey16 = image::ImageBuffer<image::Luma<u16>, Vec<u16>>;

fn folder(files: &[(&str, DynamicImage)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, image) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.save_with_format(path, ImageFormat::Png).unwrap();
    }
    folder
}

fn grey(columns: u32, pixels: &[u8]) -> DynamicImage {
    let rows = u32::try_from(pixels.len()).unwrap() / columns;
    GrayImage::from_raw(columns, rows, pixels.to_vec()).unwrap().into()
}

fn rgb(pixel: [u8; 3]) -> DynamicImage {
    RgbImage::from_raw(1, 1, pixel.to_vec()).unwrap().into()
}

fn read(folder: &TempDir, layout: Option<Layout>, resize: Option<&str>) -> Result<Dataset, DataError> {
    load(folder.path(), layout, resize.map(|text| text.parse().unwrap()))?.dataset()
}

#[test]
fn files_come_in_byte_wise_order_and_others_are_passed_over() {
    let folder = folder(&[
        ("b.png", grey(1, &[51])),
        ("B.PNG", grey(1, &[0])),
        ("10.png", grey(1, &[255])),
        ("9.png", grey(1, &[102])),
    ]);
    for name in ["notes.txt", "._9.png"] {
        std::fs::write(folder.path().join(name), "no image").unwrap();
    }
    std::fs::create_dir(folder.path().join("more")).unwrap();
    std::fs::write(folder.path().join("more/x.png"), "not entered").unwrap();
    let data = read(&folder, None, None).unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[1, 1][..], &[1.0, 0.4, 0.0, 0.2][..]));
}

#[test]
fn folders_of_classes_are_entered_one_level_deep() {
    let folder = folder(&[
        ("b/0.png", grey(1, &[0])),
        ("a/1.png", grey(1, &[255])),
        ("a/0.png", grey(1, &[51])),
        ("a/deep/0.png", grey(1, &[9])),
    ]);
    assert_eq!(read(&folder, None, None).unwrap().values(), [0.2, 1.0, 0.0]);
}

#[test]
fn colours_are_three_planes() {
    let image = RgbImage::from_raw(2, 1, vec![255, 51, 0, 102, 0, 255]).unwrap();
    let data = read(&folder(&[("0.png", image.into())]), None, None).unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[3, 1, 2][..], &[1.0, 0.4, 0.2, 0.0, 0.0, 1.0][..]));
}

#[test]
fn sixteen_bits_reach_the_same_range() {
    let image = Grey16::from_raw(3, 1, vec![0, 51 * 257, u16::MAX]).unwrap();
    assert_eq!(read(&folder(&[("0.png", image.into())]), None, None).unwrap().values(), [0.0, 0.2, 1.0]);
}

#[test]
fn palettes_are_looked_up() {
    let mut bytes = Vec::new();
    // Two pixels by number: the second colour of the palette, then the first.
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(vec![0, 51, 255, 102, 0, 0]);
    encoder.write_header().unwrap().write_image_data(&[1, 0]).unwrap();
    let (channels, rows, columns, values) = decode_bytes(&bytes).unwrap();
    assert_eq!((channels, rows, columns, &values[..]), (3, 1, 2, &[102.0, 0.0, 0.0, 51.0, 0.0, 255.0][..]));
}

#[test]
fn an_alpha_channel_that_hides_nothing_is_dropped_and_any_other_refused() {
    let opaque = RgbaImage::from_raw(1, 1, vec![255, 51, 0, 255]).unwrap();
    assert_eq!(read(&folder(&[("0.png", opaque.into())]), None, None).unwrap().values(), [1.0, 0.2, 0.0]);
    let opaque = GrayAlphaImage::from_raw(1, 1, vec![51, 255]).unwrap();
    assert_eq!(read(&folder(&[("0.png", opaque.into())]), None, None).unwrap().values(), [0.2]);
    let veiled = RgbaImage::from_raw(1, 1, vec![255, 51, 0, 254]).unwrap();
    let error = read(&folder(&[("0.png", veiled.into())]), None, None).unwrap_err();
    assert!(matches!(&error, DataError::BadImage { reason, .. } if reason.contains("transparent")), "{error}");
}

#[test]
fn a_jpeg_is_read_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.png");
    grey(8, &[204; 64]).save_with_format(&path, ImageFormat::Jpeg).unwrap();
    let data = read(&folder, None, None).unwrap();
    assert_eq!(data.item_shape(), [8, 8]);
    // A flat image is exact up to one step of the encoder.
    assert!(data.values().iter().all(|value| (value - 0.8).abs() <= 1.0 / 255.0));
}

#[test]
fn grey_and_colour_together_are_rejected_unless_colour_is_asked_for() {
    let folder = folder(&[("0.png", grey(1, &[51])), ("1.png", rgb([255, 0, 51]))]);
    let error = read(&folder, None, None).unwrap_err();
    assert!(
        matches!(&error, DataError::MixedChannels { grey, colour } if grey.ends_with("0.png") && colour.ends_with("1.png"))
    );
    assert!(error.to_string().contains("--layout nchw"));
    let data = read(&folder, Some(Layout::Nchw), None).unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[3, 1, 1][..], &[0.2, 0.2, 0.2, 1.0, 0.0, 0.2][..]));
    let error = read(&folder, Some(Layout::Nhw), None).unwrap_err();
    assert!(matches!(&error, DataError::Unsuitable { name, .. } if name.ends_with("1.png")), "{error}");
}

#[test]
fn another_size_is_rejected_unless_all_are_resized() {
    let folder = folder(&[("0.png", grey(2, &[0, 255])), ("1.png", grey(1, &[51]))]);
    let error = read(&folder, None, None).unwrap_err();
    assert!(
        matches!(&error, DataError::ImageSize { path, found: (1, 1), expected: (1, 2), .. } if path.ends_with("1.png"))
    );
    assert!(error.to_string().contains("--resize"));
    assert_eq!(read(&folder, None, Some("1x2")).unwrap().values(), [0.0, 1.0, 0.2, 0.2]);
    assert_eq!(read(&folder, None, Some("pad:1x2")).unwrap().values(), [0.0, 1.0, 0.2, 0.0]);
    assert!(matches!(read(&folder, None, Some("pad:1x1")), Err(DataError::Unsuitable { .. })));
}

#[test]
fn a_folder_without_images_and_an_absent_one_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(matches!(read(&folder, None, None), Err(DataError::NoImages { .. })));
    assert!(matches!(load(&folder.path().join("absent"), None, None), Err(DataError::Io { .. })));
}

#[test]
fn files_that_are_no_image_are_rejected_by_name() {
    let mut whole = Cursor::new(Vec::new());
    grey(4, &[7; 16]).write_to(&mut whole, ImageFormat::Png).unwrap();
    let whole = whole.into_inner();
    let mut flipped = whole.clone();
    // In the compressed pixels, before their checksum.
    let at = whole.windows(4).position(|window| window == b"IDAT").unwrap() + 8;
    flipped[at] ^= 0x55;
    for bytes in [&whole[..whole.len() / 2], &whole[..10], &flipped, b"", b"BM and so on", b"GIF89a"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("0.png"), bytes).unwrap();
        let error = read(&folder, None, None).unwrap_err();
        assert!(matches!(&error, DataError::BadImage { path, .. } if path.ends_with("0.png")), "{error}");
    }
}

#[test]
fn an_image_that_announces_more_pixels_than_supported_is_rejected() {
    let mut whole = Cursor::new(Vec::new());
    grey(4, &[7; 16]).write_to(&mut whole, ImageFormat::Png).unwrap();
    let mut bytes = whole.into_inner();
    // The width follows the 8 bytes of the signature and the 8 of the chunk's length and name; then mend the checksum.
    bytes[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    assert!(decode_bytes(&bytes).is_err());
}

#[test]
fn a_folder_given_flat_is_flattened() {
    let folder = folder(&[("0.png", rgb([255, 0, 51]))]);
    let array = load(folder.path(), Some(Layout::Flat), None).unwrap();
    let data = Preprocessing { layout: Some(Layout::Flat), ..Preprocessing::default() }.apply(array).unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[3][..], &[1.0, 0.0, 0.2][..]));
}

proptest! {
    #![proptest_config(crate::testing::seeded(128))]

    #[test]
    fn damaged_images_never_panic(tail: Vec<u8>, flip in 0..200_usize, with: u8, jpeg: bool) {
        let _ = decode_bytes(&tail);
        let mut whole = Cursor::new(Vec::new());
        let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
        grey(4, &[7; 16]).write_to(&mut whole, format).unwrap();
        let mut bytes = whole.into_inner();
        let at = flip % bytes.len();
        bytes[at] = with;
        let _ = decode_bytes(&bytes);
    }
}
