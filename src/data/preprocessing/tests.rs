//! Numbers by hand against the ones that come out, and every way of asking for something without meaning.

use super::*;
use proptest::prelude::*;

fn array(shape: &[usize], values: &[f32], full_scale: f64) -> Array {
    Array { name: "a".to_owned(), shape: shape.to_vec(), values: values.to_vec(), full_scale }
}

fn given(text: &str) -> Preprocessing {
    text.parse().unwrap()
}

#[test]
fn bytes_are_divided_by_255_to_the_last_bit() {
    let bytes: Vec<f32> = (0..=u8::MAX).map(f32::from).collect();
    let data = Preprocessing::default().apply(array(&[1, 256], &bytes, 255.0)).unwrap();
    let expected: Vec<f32> = bytes.iter().map(|byte| byte / 255.0).collect();
    assert_eq!(data.values(), expected);
}

#[test]
fn numbers_with_a_fraction_are_kept_as_they_are() {
    let values = [0.1, -3.7e-20, 1e30];
    assert_eq!(Preprocessing::default().apply(array(&[1, 3], &values, 1.0)).unwrap().values(), values);
}

#[test]
fn a_given_scale_replaces_the_default() {
    let data = given("scale 0.5").apply(array(&[1, 2], &[2.0, 255.0], 255.0)).unwrap();
    assert_eq!(data.values(), [1.0, 127.5]);
}

#[test]
fn mean_and_standard_deviation_apply_after_the_scale_and_per_channel() {
    // Two channels of 1 x 2 pixels: (x / 255 - mean) / std.
    let pixels = [0.0, 255.0, 51.0, 255.0];
    let data = given("mean 0.5 0.2, std 0.5 0.4").apply(array(&[1, 2, 1, 2], &pixels, 255.0)).unwrap();
    assert_eq!(data.values(), [-1.0, 1.0, 0.0, 2.0]);
    let data = given("mean 0.5, std 0.5").apply(array(&[1, 2, 1, 2], &pixels, 255.0)).unwrap();
    assert_eq!(data.values(), [-1.0, 1.0, -0.6, 1.0]);
    // The channels of a file that stores them last.
    let data = given("layout nhwc, mean 0.5 0.2, std 0.5 0.4")
        .apply(array(&[1, 1, 2, 2], &[0.0, 51.0, 255.0, 255.0], 255.0))
        .unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[2, 1, 2][..], &[-1.0, 1.0, 0.0, 2.0][..]));
}

#[test]
fn padding_comes_before_the_mean() {
    let data = given("resize pad:1x3, mean 0.5, std 0.5").apply(array(&[1, 1, 1], &[255.0], 255.0)).unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[1, 3][..], &[-1.0, 1.0, -1.0][..]));
}

#[test]
fn every_plane_of_every_item_is_resized_by_itself() {
    let data =
        given("resize 1x1").apply(array(&[2, 2, 1, 2], &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 1.0, 3.0], 1.0)).unwrap();
    assert_eq!((data.len(), data.item_shape(), data.values()), (2, &[2, 1, 1][..], &[1.0, 5.0, 9.0, 2.0][..]));
}

#[test]
fn a_wrong_number_of_means_is_rejected_with_both_numbers() {
    for (option, text) in [("--mean", "mean 0.1 0.2"), ("--std", "std 0.1 0.2")] {
        for (shape, count) in [(&[1, 3, 1, 1][..], 3), (&[3, 1, 1], 1), (&[1, 3], 1)] {
            let error = given(text).apply(array(shape, &[0.0; 3], 1.0)).unwrap_err();
            assert!(matches!(&error, DataError::Unsuitable { option: found, .. } if found == option));
            assert!(error.to_string().contains("2 numbers") && error.to_string().contains(&format!("{count} channel")));
        }
    }
}

#[test]
fn only_images_are_resized_and_doubtful_ones_are_asked_about() {
    let error = given("resize 2x2").apply(array(&[1, 4], &[0.0; 4], 1.0)).unwrap_err();
    assert!(error.to_string().contains("no image"), "{error}");
    let error = given("resize 2x2").apply(array(&[1, 2, 2, 3], &[0.0; 12], 1.0)).unwrap_err();
    assert!(error.to_string().contains("--layout nhwc or nchw"), "{error}");
    let data = given("layout nchw, resize 2x2").apply(array(&[1, 2, 2, 3], &[0.0; 12], 1.0)).unwrap();
    assert_eq!(data.item_shape(), [2, 2, 2]);
    let huge = given("resize 16384x16384").apply(array(&[5, 1, 1], &[0.0; 5], 1.0)).unwrap_err();
    assert!(huge.to_string().contains("2^30"), "{huge}");
}

#[test]
fn numbers_without_meaning_are_rejected_wherever_they_come_from() {
    for (text, expected) in [
        ("scale 0", "--scale"),
        ("scale NaN", "--scale"),
        ("scale inf", "--scale"),
        ("mean NaN", "--mean"),
        ("mean 0 inf", "--mean"),
        ("std 0", "--std"),
        ("std 1 -1", "--std"),
        ("std NaN", "--std"),
        ("resize 0x4", "--resize"),
        ("layout chw", "--layout"),
    ] {
        let error = text.parse::<Preprocessing>().unwrap_err();
        assert!(matches!(&error, DataError::BadOption { option, .. } if *option == expected), "{text}: {error}");
    }
    // From a file of results, past the parser.
    let read: Preprocessing = serde_json::from_str(r#"{"scale": 0.0}"#).unwrap();
    assert!(matches!(read.apply(array(&[1, 1], &[1.0], 1.0)), Err(DataError::BadOption { .. })));
    let read: Preprocessing =
        serde_json::from_str(r#"{"resize": {"method": "pad", "height": 99999999, "width": 1}}"#).unwrap();
    assert!(matches!(read.apply(array(&[1, 1, 1], &[1.0], 1.0)), Err(DataError::BadOption { .. })));
}

#[test]
fn text_that_is_no_preprocessing_is_rejected() {
    for text in ["", "scale", "scale 1 2", "scale x", "scale 1, scale 2", "mean", "mean 1,std 2", "invert yes", "1"] {
        assert!(matches!(text.parse::<Preprocessing>(), Err(DataError::BadOption { .. })), "{text:?}");
    }
}

#[test]
fn a_value_that_leaves_single_precision_is_rejected() {
    let error = given("scale 1e300").apply(array(&[1, 2], &[0.0, 2.0], 1.0)).unwrap_err();
    assert!(matches!(error, DataError::NonFinite { coordinate: 1, .. }), "{error}");
    let error = given("mean 1").apply(array(&[1, 2], &[0.0, f32::NAN], 1.0)).unwrap_err();
    assert!(matches!(error, DataError::NonFinite { coordinate: 1, .. }), "{error}");
}

proptest! {
    #![proptest_config(crate::testing::seeded(256))]

    #[test]
    fn what_is_given_survives_text_and_json(
        layout in proptest::option::of(prop_oneof![
            Just(Layout::Nchw), Just(Layout::Nhwc), Just(Layout::Nhw), Just(Layout::Flat)
        ]),
        size in proptest::option::of((1..99_usize, 1..99_usize, any::<bool>())),
        scale in proptest::option::of(1e-300..1e300_f64),
        mean in proptest::collection::vec(-1e3..1e3_f64, 0..4),
        std in proptest::collection::vec(1e-9..1e9_f64, 0..4),
    ) {
        let resize = size.map(|(height, width, pad)| {
            if pad { Resize::Pad { height, width } } else { Resize::Bilinear { height, width } }
        });
        let given = Preprocessing { layout, resize, scale, mean, std };
        prop_assume!(!given.is_default());
        prop_assert_eq!(&given.to_string().parse::<Preprocessing>().unwrap(), &given);
        let json = serde_json::to_string(&given).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Preprocessing>(&json).unwrap(), &given);
    }

    #[test]
    fn random_text_never_panics(text: String) {
        let _ = text.parse::<Preprocessing>();
    }
}
