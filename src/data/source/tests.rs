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
    for (text, expected) in [
        ("digits", DataSource::Digits),
        ("mnist", DataSource::Mnist { directory: directory.clone() }),
        ("fashion-mnist", DataSource::FashionMnist { directory: directory.clone() }),
        ("cifar10", DataSource::Cifar10 { directory }),
        ("some/where.npy", DataSource::Npy { path: "some/where.npy".into() }),
        ("gaussian:4,1,0.25", DataSource::Gaussian { spectrum: vec![4.0, 1.0, 0.25] }),
        ("mixture:10,2,4,0.5", DataSource::Mixture { components: 10, dim: 2, separation: 4.0, std: 0.5 }),
    ] {
        let source = parse(text).unwrap();
        assert_eq!(source, expected);
        assert_eq!(source.to_string(), text);
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
    assert_eq!(train.values(), [1.0, 2.0, 3.0, 4.0]);
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
            DataSource::Gaussian { spectrum: spectrum.clone() },
            DataSource::Mixture { components: 2, dim: 3, separation: spectrum[0], std },
        ] {
            prop_assert_eq!(parse(&source.to_string()).unwrap(), source);
        }
    }
}
