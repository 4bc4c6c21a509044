//! Texts against the sources they name, and sources against the data they load.

use super::*;
use proptest::prelude::*;

const DIRECTORY: &str = "somewhere";

fn parse(text: &str) -> Result<DataSource, DataError> {
    DataSource::parse(text, Some(Path::new(DIRECTORY)))
}

#[test]
fn every_form_of_text_names_its_source_and_is_given_back() {
    let directory = PathBuf::from(DIRECTORY);
    let named = |name: &str| Some(name.to_owned());
    for (text, expected) in [
        ("digits", Origin::Digits),
        ("mnist", Origin::Mnist { directory: directory.clone() }),
        ("fashion-mnist", Origin::FashionMnist { directory: directory.clone() }),
        ("cifar10", Origin::Cifar10 { directory }),
        ("some/where.npy", Origin::Npy { path: "some/where.npy".into() }),
        ("a.npz", Origin::Npz { path: "a.npz".into(), array: None }),
        ("b/a.npz:x:y", Origin::Npz { path: "b/a.npz".into(), array: named("x:y") }),
        ("a.safetensors", Origin::Safetensors { path: "a.safetensors".into(), array: None }),
        ("a.safetensors:x.y", Origin::Safetensors { path: "a.safetensors".into(), array: named("x.y") }),
        ("b/t10k-images-idx3-ubyte", Origin::Idx { path: "b/t10k-images-idx3-ubyte".into() }),
        ("x-idx3-ubyte.gz", Origin::Idx { path: "x-idx3-ubyte.gz".into() }),
        ("x.idx", Origin::Idx { path: "x.idx".into() }),
        ("test_batch.bin", Origin::CifarBatch { path: "test_batch.bin".into() }),
        ("holiday (1)/", Origin::Images { directory: "holiday (1)/".into() }),
        ("gaussian:4,1,0.25", Origin::Gaussian { spectrum: vec![4.0, 1.0, 0.25] }),
        ("mixture:10,2,4,0.5", Origin::Mixture { components: 10, dim: 2, separation: 4.0, std: 0.5 }),
    ] {
        let source = parse(text).unwrap();
        assert_eq!(source, expected.clone().into());
        assert_eq!(source.to_string(), text);
        let prepared = Preprocessing { scale: Some(0.5), mean: vec![0.1, -0.2], ..Preprocessing::default() };
        let prepared = DataSource::from(expected).with(prepared).unwrap();
        assert_eq!(prepared.to_string(), format!("{text} (scale 0.5, mean 0.1 -0.2)"));
        assert_eq!(parse(&prepared.to_string()).unwrap(), prepared);
        let json = serde_json::to_string(&prepared).unwrap();
        assert_eq!(serde_json::from_str::<DataSource>(&json).unwrap(), prepared, "{json}");
        let json = serde_json::to_string(&source).unwrap();
        assert_eq!(serde_json::from_str::<DataSource>(&json).unwrap(), source, "{json}");
    }
}

#[test]
fn sources_made_of_files_need_a_directory() {
    for text in ["mnist", "fashion-mnist", "cifar10"] {
        let error = DataSource::parse(text, None).unwrap_err();
        assert!(matches!(error, DataError::MissingDirectory { name } if name == text));
    }
    assert!(DataSource::parse("digits", None).is_ok());
    assert!(DataSource::parse("a.npy", None).is_ok());
}

#[test]
fn a_misspelt_source_is_rejected_with_the_nearest_known_one() {
    for (text, expected) in [
        ("MNIST", Some("mnist")),
        ("minst", Some("mnist")),
        ("fashion_mnist", Some("fashion-mnist")),
        ("cifar-10", Some("cifar10")),
        ("gausian:4,1", Some("gaussian:E1,E2,...")),
        ("digits:3", Some("digits")),
        ("imagenet", None),
        ("", None),
    ] {
        let error = parse(text).unwrap_err();
        assert!(
            matches!(&error, DataError::UnknownSource { found, known, suggestion }
                if found == text && *known == KNOWN && *suggestion == expected),
            "{error}"
        );
    }
}

#[test]
fn synthetic_sources_that_cannot_be_made_are_rejected() {
    for text in [
        "gaussian:",
        "gaussian:4,,1",
        "gaussian:4,one",
        "gaussian:-1",
        "gaussian:nan",
        "gaussian:inf",
        "mixture:2,2,1",
        "mixture:2,2,1,1,1",
        "mixture:2.5,2,1,1",
        "mixture:0,2,1,1",
        "mixture:2,-2,1,1",
        "mixture:2,2,1,-1",
        "mixture:99999999,99999999,1,1",
    ] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, DataError::BadSpecification { .. }), "{text}: {error}");
    }
}

#[test]
fn spelling_distances_match_known_ones() {
    assert_eq!(typos("kitten", "sitting"), 3);
    assert_eq!(typos("", "abc"), 3);
    assert_eq!(typos("abc", ""), 3);
    assert_eq!(typos("abc", "abc"), 0);
}

#[test]
fn synthetic_sources_load_the_documented_number_of_items() {
    for text in ["gaussian:4,1,0.25", "mixture:5,3,2,0.1"] {
        let source = parse(text).unwrap();
        let train = source.load(Split::Train, Seed(1)).unwrap();
        let test = source.load(Split::Test, Seed(1)).unwrap();
        assert_eq!((train.len(), test.len(), train.dim()), (10_000, 1_000, 3));
        assert_eq!(train.name(), text);
    }
}

#[test]
fn text_from_before_there_was_preprocessing_is_understood_and_written_alike() {
    for json in [
        r#"{"kind":"digits"}"#,
        r#"{"kind":"mnist","directory":"d"}"#,
        r#"{"kind":"npy","path":"a.npy"}"#,
        r#"{"kind":"gaussian","spectrum":[4.0,0.1]}"#,
        r#"{"kind":"mixture","components":3,"dim":2,"separation":0.1,"std":1e-300}"#,
    ] {
        let source: DataSource = serde_json::from_str(json).unwrap();
        assert!(source.preprocessing.is_default());
        assert_eq!(serde_json::to_string(&source).unwrap(), json);
    }
    for json in [r#"{"kind":"npz"}"#, r#"{"kind":"digits","preprocessing":{"invert":true}}"#, r#"{"preprocessing":{}}"#]
    {
        assert!(serde_json::from_str::<DataSource>(json).is_err(), "{json}");
    }
}

#[test]
fn preprocessing_changes_the_values_the_name_and_the_hash() {
    let raw = parse("digits").unwrap().load(Split::Test, Seed(0)).unwrap();
    let padded = parse("digits (resize pad:10x10, mean 0.5)").unwrap().load(Split::Test, Seed(0)).unwrap();
    assert_eq!((padded.item_shape(), padded.name()), (&[10, 10][..], "digits (resize pad:10x10, mean 0.5)"));
    let (padded_row, raw_row) = (padded.row(0).unwrap(), raw.row(0).unwrap());
    // The first row of the image starts at the second pixel of the second row.
    assert_eq!(padded_row[..11], [-0.5; 11]);
    assert_eq!(padded_row[11..19], [0, 1, 2, 3, 4, 5, 6, 7].map(|i| raw_row[i] - 0.5));
    assert_ne!(raw.sha256(), padded.sha256());
    let error = parse("digits (layout nchw)").unwrap().load(Split::Test, Seed(0)).unwrap_err();
    assert!(error.to_string().contains("expected [n, C, H, W]"), "{error}");
    let error = parse("gaussian:1 (resize 2x2)").unwrap().load(Split::Test, Seed(0)).unwrap_err();
    assert!(matches!(error, DataError::Unsuitable { .. }), "{error}");
}

#[test]
fn preprocessing_is_given_once() {
    let given = Preprocessing { scale: Some(2.0), ..Preprocessing::default() };
    let error = parse("digits (scale 0.5)").unwrap().with(given).unwrap_err();
    assert!(matches!(error, DataError::BadOption { option: "--data", .. }), "{error}");
    let bad = Preprocessing { scale: Some(0.0), ..Preprocessing::default() };
    assert!(matches!(parse("digits").unwrap().with(bad), Err(DataError::BadOption { option: "--scale", .. })));
}

#[test]
fn files_and_folders_are_read_by_what_their_names_end_in() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| {
        let text = format!("{}/{name}", folder.path().display());
        DataSource::parse(&text, None).unwrap().load(Split::Test, Seed(0))
    };
    std::fs::write(folder.path().join("x.idx"), [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 51, 255]).unwrap();
    assert_eq!(read("x.idx").unwrap().values(), [0.2, 1.0]);
    std::fs::write(folder.path().join("x.bin"), [&[9][..], &[51; 3072]].concat()).unwrap();
    assert_eq!(read("x.bin").unwrap().item_shape(), [3, 32, 32]);
    std::fs::create_dir(folder.path().join("x")).unwrap();
    image::GrayImage::from_raw(2, 1, vec![51, 255]).unwrap().save(folder.path().join("x/0.png")).unwrap();
    let data = read("x/").unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[1, 2][..], &[0.2, 1.0][..]));
    let data = read("x/ (layout flat, resize 1x1, mean 0.6)").unwrap();
    assert_eq!((data.item_shape(), data.values()), (&[1][..], &[0.0][..]));
    assert!(data.name().ends_with("x/ (layout flat, resize 1x1, mean 0.6)"));
}

#[test]
fn a_folder_keeps_its_slash_when_its_path_becomes_absolute() {
    let absolute = parse("some/where/").unwrap().absolute();
    assert!(absolute.to_string().ends_with("some/where/"));
    assert!(matches!(parse(&absolute.to_string()).unwrap().origin, Origin::Images { .. }));
}

#[test]
fn a_specification_read_from_a_report_is_checked_again() {
    let source: DataSource = serde_json::from_str(r#"{"kind":"gaussian","spectrum":[-1.0]}"#).unwrap();
    assert!(matches!(source.load(Split::Train, Seed(1)), Err(DataError::BadSpecification { .. })));
}

#[test]
fn each_split_of_mnist_is_read_from_its_own_file() {
    let directory = tempfile::tempdir().unwrap();
    for (file_name, pixel) in [("train-images-idx3-ubyte", 51), ("t10k-images-idx3-ubyte", 255)] {
        let bytes = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, pixel];
        std::fs::write(directory.path().join(file_name), bytes).unwrap();
    }
    for text in ["mnist", "fashion-mnist"] {
        let source = DataSource::parse(text, Some(directory.path())).unwrap();
        assert_eq!(source.load(Split::Train, Seed(1)).unwrap().values(), [0.2]);
        let test = source.load(Split::Test, Seed(1)).unwrap();
        assert_eq!((test.values(), test.name()), (&[1.0][..], text));
    }
}

#[test]
fn both_splits_of_an_array_file_are_the_whole_array() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    let header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }\n";
    let length = u8::try_from(header.len()).unwrap();
    std::fs::write(&path, [b"\x93NUMPY\x01\0", &[length, 0][..], header, &[1, 2, 3, 4]].concat()).unwrap();
    let source = DataSource::parse(path.to_str().unwrap(), None).unwrap();
    let train = source.load(Split::Train, Seed(1)).unwrap();
    assert_eq!(train.values(), [1.0, 2.0, 3.0, 4.0].map(|byte| byte / 255.0));
    assert_eq!(train, source.load(Split::Test, Seed(2)).unwrap());
}

#[test]
fn missing_files_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent.npy");
    let load = |text: &str| DataSource::parse(text, Some(directory.path())).unwrap().load(Split::Test, Seed(1));
    assert!(matches!(load("mnist"), Err(DataError::MissingFile { .. })));
    assert!(matches!(load("cifar10"), Err(DataError::Io { .. })));
    assert!(matches!(load(absent.to_str().unwrap()), Err(DataError::Io { path, .. }) if path == absent));
}

proptest! {
    #![proptest_config(crate::testing::seeded(256))]

    #[test]
    fn random_text_never_panics(text: String, numbers in "[-+0-9.,eE naif]{0,20}") {
        let _ = parse(&text);
        let _ = parse(&format!("gaussian:{numbers}"));
        let _ = parse(&format!("mixture:{numbers}"));
    }

    #[test]
    fn numbers_survive_text(spectrum in proptest::collection::vec(0.0..1e300f64, 1..5), std in 0.0..1e-300f64) {
        for source in [
            Origin::Gaussian { spectrum: spectrum.clone() },
            Origin::Mixture { components: 2, dim: 3, separation: spectrum[0], std },
        ] {
            prop_assert_eq!(parse(&source.to_string()).unwrap(), source.into());
        }
    }
}
