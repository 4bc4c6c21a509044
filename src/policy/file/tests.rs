use serde::Deserialize;

use super::*;
use crate::audit::PlanError;
use crate::data::{DataError, Origin};
use crate::policy::requirement::{AtNorm, Ending, Norm};
use crate::policy::written::{Budget, Require};

const REQUIRE: &str = "[require]\nalarms_at_most = 0\n";

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text, Path::new("ci/p.toml"))
}

fn refused(text: &str) -> PolicyError {
    parse(text).unwrap_err()
}

/// The error of a policy that requires something and begins with `text`.
fn refused_beginning(text: &str) -> PolicyError {
    refused(&format!("{text}\n{REQUIRE}"))
}

#[test]
fn requirements_keep_their_values_and_lines() {
    let text = "inputs = 3\n[require]\nfailed_at_most = 2\ncertified = [\n  { radius = 0.1, fraction = 0.9 },\n  { fraction = 1, radius = 1 },\n]\nmedian_margin = 0.5\n";
    let policy = parse(text).unwrap();
    let norm = |value| Norm::try_from(value).unwrap();
    let at = |radius, fraction| AtNorm { radius: norm(radius), fraction: f64::try_into(fraction).unwrap() };
    let expected = [
        (Requirement::Certified(at(0.1, 0.9)), 5),
        (Requirement::Certified(at(1.0, 1.0)), 6),
        (Requirement::MedianMargin(norm(0.5)), 8),
        (Requirement::AtMost(Ending::Failed, 2), 3),
    ];
    assert_eq!(policy.requirements, expected.map(|(requirement, line)| Required { requirement, line }));
}

#[test]
fn paths_are_relative_to_the_policys_folder() {
    let text = format!("model = 'm.safetensors'\ndata = '../x.npz:a'\n{REQUIRE}");
    let policy = parse(&text).unwrap();
    assert_eq!(policy.model, Some(PathBuf::from("ci/m.safetensors")));
    let Origin::Npz { path, array } = policy.data.source.origin else { panic!() };
    assert_eq!((path, array.as_deref()), (PathBuf::from("ci/../x.npz"), Some("a")));
    let absolute = Policy::parse(&text.replace("m.safe", "/m.safe"), Path::new("p.toml")).unwrap();
    assert_eq!(absolute.model, Some(PathBuf::from("/m.safetensors")));
}

#[test]
fn the_example_makes_sense() {
    let policy = Policy::parse(crate::policy::EXAMPLE, Path::new("vaecert.toml")).unwrap();
    assert_eq!(policy.requirements.len(), 8);
}

#[test]
fn the_lists_of_keys_are_those_of_the_types() {
    fn message<'de, T: Deserialize<'de> + std::fmt::Debug>(text: &'de str) -> String {
        toml::from_str::<T>(text).unwrap_err().message().to_owned()
    }
    let listed = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    for (found, keys) in [(message::<PolicyFile>("x = 1"), keys::TOP), (message::<Require>("x = 1"), keys::REQUIRE)] {
        assert!(found.ends_with(&listed(keys)), "{found}");
    }
    for (found, keys) in [(message::<AtNorm>("x = 1"), keys::AT_NORM), (message::<Budget>("x = 1"), keys::BUDGET)] {
        assert!(keys.iter().all(|key| found.contains(&format!("`{key}`"))), "{found}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    let unknown = |text: &str| match refused(text) {
        PolicyError::UnknownKey { line, column, key, suggestion, .. } => (line, column, key, suggestion),
        other => panic!("{other}"),
    };
    let suggested = |key: &str| Some(key.to_owned());
    assert_eq!(unknown("inputs = 3\n r-quantile = 0.9\n"), (2, 2, "r-quantile".to_owned(), suggested("r_quantile")));
    assert_eq!(
        unknown("[require]\nalarm_at_most = 0\n"),
        (2, 1, "alarm_at_most".to_owned(), suggested("alarms_at_most"))
    );
    let entry = unknown("[require]\ncertified = [{ radios = 1, fraction = 1 }]\n");
    assert_eq!(entry, (2, 16, "radios".to_owned(), suggested("radius")));
    assert_eq!(unknown("[budget]\ntimes = 1\n").3, suggested("time"));
    assert_eq!(unknown("[[require.refuted_at_most]]\nfractoin = 1\n").3, suggested("fraction"));
    let far = refused("weights_and_biases = 1\n");
    assert!(
        far.to_string()
            .contains("ci/p.toml:1:1: unknown key \"weights_and_biases\" in a policy; expected one of model, device"),
        "{far}"
    );
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_place() {
    for text in ["inputs = = 3", "[require\n", "inputs = 3\ninputs = 4\n", "a = \"\u{1}\"", "= 1"] {
        assert!(matches!(refused(text), PolicyError::Syntax { .. }), "{text}");
    }
    let PolicyError::Syntax { line, .. } = refused("inputs = 3\ninputs = 4\n") else { panic!() };
    assert_eq!(line, 2);
}

#[test]
fn values_of_the_wrong_kind_or_out_of_range_are_refused_with_their_place() {
    for (text, reason) in [
        ("inputs = -1", "-1"),
        ("inputs = 1.5", "1.5"),
        ("inputs = 'many'", "expected usize"),
        ("model = 3", "expected path string"),
        ("r = 0", "a finite number above 0, found 0"),
        ("r = nan", "found NaN"),
        ("level = 1", "strictly between 0 and 1"),
        ("threat = 'man'", "expected mean or joint"),
        ("threat = 3", "expected a string"),
        ("attack = ['latend']", "latend"),
        ("attack = 'latent'", "expected a sequence"),
        ("layout = 'hwc'", "hwc"),
        ("resize = '3'", "3"),
        ("mean = ['a']", "a number or a list of numbers"),
        ("box = [0]", "length 1"),
        ("split = 'tset'", "tset"),
        ("protocol = 'papers'", "papers"),
        ("device = 'gpu'", "expected cpu"),
        ("seed = 1e3", "expected u64"),
        ("require = 3", "expected struct"),
    ] {
        let text = if text.starts_with("require") { text.to_owned() } else { format!("# a\n{text}\n{REQUIRE}") };
        let error = refused(&text);
        let PolicyError::Value { line, .. } = error else { panic!("{text}: {error:?}") };
        assert!(line == text.matches("# a").count() + 1 && error.to_string().contains(reason), "{text}: {error}");
    }
    for (text, reason) in [
        ("certified = [{ radius = 0, fraction = 1 }]", "above 0, found 0"),
        ("certified = [{ radius = inf, fraction = 1 }]", "found inf"),
        ("certified = [{ radius = 1, fraction = 1.1 }]", "between 0 and 1, found 1.1"),
        ("certified = [{ radius = 1, fraction = nan }]", "found NaN"),
        ("certified = [{ radius = 1 }]", "missing field `fraction`"),
        ("certified = 0.9", "expected a sequence"),
        ("median_certified = -1", "found -1"),
        ("alarms_at_most = -1", "-1"),
    ] {
        let error = refused(&format!("[require]\n{text}\n"));
        let PolicyError::Value { line: 2, .. } = error else { panic!("{text}: {error:?}") };
        assert!(error.to_string().contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_policy_that_nothing_could_fail_is_refused() {
    for text in ["", "inputs = 3\n", "[require]\n", "[require]\ncertified = []\n"] {
        assert!(matches!(refused(text), PolicyError::NothingRequired { .. }), "{text}");
    }
    for (text, reason) in [
        ("certified = [{ radius = 1, fraction = 0 }]", "requires nothing"),
        ("refuted_at_most = [{ radius = 1, fraction = 1 }]", "requires nothing"),
        ("alarms_at_most = 20", "requires nothing of 20 inputs"),
        ("refuted_at_most = [{ radius = 11, fraction = 0 }]", "max_norm = 10"),
        ("median_margin = 11", "max_norm = 10"),
        ("certified = [{ radius = 1, fraction = 0.5 }, { radius = 1.0, fraction = 0.6 }]", "required twice"),
    ] {
        let error = refused(&format!("[require]\n{text}\n"));
        let PolicyError::Requirement { line: 2, .. } = error else { panic!("{text}: {error:?}") };
        assert!(error.to_string().contains(reason), "{text}: {error}");
    }
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    for (text, reason) in [
        ("r = 1\nr_quantile = 0.9", "not both"),
        ("decrement = 0.1", "bisect"),
        ("protocol = 'paper'\ntolerance = 0.1", "paper"),
    ] {
        let error = refused_beginning(text);
        assert!(matches!(&error, PolicyError::Conflict { reason: found, .. } if found.contains(reason)), "{error}");
    }
}

#[test]
fn data_and_plans_that_make_no_sense_are_refused() {
    let data = |text| match refused_beginning(text) {
        PolicyError::Data { source, .. } => source,
        other => panic!("{other}"),
    };
    assert!(matches!(data("data = 'mnist'"), DataError::MissingDirectory { .. }));
    assert!(matches!(data("data = 'digitz'"), DataError::UnknownSource { .. }));
    assert!(matches!(data("scale = 0"), DataError::BadOption { .. }));
    let plan = |text| match refused_beginning(text) {
        PolicyError::Plan { source, .. } => source,
        other => panic!("{other}"),
    };
    assert!(matches!(plan("steps = 0"), PlanError::Count { .. }));
    assert!(matches!(plan("max_norm = inf"), PlanError::Length { .. }));
    assert!(matches!(plan("level = 0.95"), PlanError::QuantileBelowLevel { .. }));
    assert_eq!(plan("attack = []"), PlanError::Attacks);
}

#[test]
fn budgets_go_to_the_audit_and_senseless_ones_are_refused() {
    let budget = "[budget]\ntime = '1h30m'\ntime_per_input = '250ms'\ndraws_per_input = 50000\n";
    let policy = parse(&format!("{REQUIRE}{budget}")).unwrap();
    assert_eq!(policy.time, Some(std::time::Duration::from_secs(5400)));
    assert_eq!(policy.plan.machine_dependent_milliseconds_per_input, Some(250));
    assert_eq!(policy.plan.draws_per_input, Some(50_000));
    for (budget, expected) in
        [("time = 'soon'", "90s, 15m, 2h"), ("time = 90", "a string"), ("time_per_input = '0s'", "90s")]
    {
        let error = refused(&format!("{REQUIRE}[budget]\n{budget}\n"));
        assert!(matches!(error, PolicyError::Value { line: 4, .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let too_few = refused(&format!("{REQUIRE}[budget]\ndraws_per_input = 3\n"));
    assert!(matches!(too_few, PolicyError::Plan { .. }), "{too_few:?}");
    assert!(parse(&format!("{REQUIRE}[budget]\n")).is_ok());
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("long.toml");
    std::fs::write(&long, "#".repeat(1 << 20) + "\n").unwrap();
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"\xff\xfe").unwrap();
    for path in [folder.path().to_owned(), folder.path().join("absent.toml"), long, binary] {
        assert!(matches!(Policy::read(&path), Err(PolicyError::Unreadable { .. })), "{}", path.display());
    }
}

#[test]
fn places_count_lines_and_characters() {
    assert_eq!(place("é = 1\nüb = 2", 9), (2, 2));
    assert_eq!(place("", 0), (1, 1));
    assert_eq!(place("a", 99), (1, 2));
}
