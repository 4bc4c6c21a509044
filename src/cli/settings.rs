//! Settings: what the environment and a file say where the command line says nothing.
//!
//! Flags go before environment variables, and these before the settings file. A setting becomes the option it names, as if
//! it had been typed, unless that option, or one that it cannot go with, was typed; so it is read, checked and refused as
//! any other, and what decides a run's results is in `run.json` wherever it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use super::exit_code::ExitCode;
use super::failure::Failure;
use crate::files;
use crate::spelling;

/// The settings file, where neither `--settings` nor its variable names one.
const DEFAULT_FILE: &str = ".vaecert.toml";
/// How every variable begins.
const PREFIX: &str = "VAECERT_";
/// The variable of the log's filter, which is no option.
pub(crate) const LOG_VARIABLE: &str = "VAECERT_LOG";
/// The option that names the file.
const FILE_OPTION: &str = "settings";
/// Options that mean the same in every command, so that a setting of them need not name one.
const SHARED: [&str; 6] = ["color", "device", "quiet", "runs-dir", "threads", "verbose"];
/// Options that must be typed: they replace what is there, or make another command of the one they belong to.
const TYPED_ONLY: [&str; 8] = ["accept", "example", "help", "list", "overwrite", "replay", FILE_OPTION, "version"];
/// How often a switch that counts may be given.
const MOST_OFTEN: usize = 3;

/// A command line with its settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// What was typed and what the settings add.
    pub(crate) line: Vec<OsString>,
    /// What they add, and from where, in one line; empty where they add nothing.
    pub(crate) added: String,
    /// Variables that look like settings and are none, with what may have been meant.
    pub(crate) unknown: Vec<String>,
}

/// A setting's place: a command (`data fetch`; empty for all of them) and a long option without its hyphens.
type Place = (String, String);

/// A value as it would be typed, and where it is from.
struct Setting {
    value: String,
    from: String,
}

type Settings = BTreeMap<Place, Setting>;

/// Adds to what was typed what environment and settings file say. A line that names no command, or asks for help, is left as
/// it is.
///
/// # Errors
/// For a settings file that cannot be read, or that holds what is no setting.
pub(crate) fn settled(
    program: &Command,
    typed: Vec<OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Settled, Failure> {
    let mut program = program.clone();
    program.build();
    let words: Vec<String> = typed.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let options: Vec<&str> = words.iter().map(String::as_str).take_while(|word| *word != "--").collect();
    let asks_for_help = options.iter().any(|word| matches!(*word, "-h" | "--help"));
    let Some(named) = Named::of(&program, &options).filter(|_| !asks_for_help) else {
        return Ok(Settled { line: typed, ..Settled::default() });
    };
    let known = known(&program);
    let variables: BTreeMap<String, String> = environment
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, value)| name.starts_with(PREFIX) && name != LOG_VARIABLE && !value.is_empty())
        .collect();
    let file = typed_value(&options, FILE_OPTION).or(variables.get(&variable("", FILE_OPTION)).cloned());
    let file = file.map(PathBuf::from).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let sources = [of_environment(&variables, &known), file.map_or(Ok(Settings::new()), |path| read(&path, &known))?];

    let arguments: Vec<&Arg> = named.command.get_arguments().collect();
    let mut given: Vec<&Arg> = arguments.iter().copied().filter(|argument| is_typed(&options, argument)).collect();
    let (mut added, mut described) = (vec![], vec![]);
    for settings in sources {
        let before = given.clone();
        for &argument in &arguments {
            let Some(option) = argument.get_long().filter(|option| is_settable(option)) else { continue };
            let of_command = settings.get(&(named.name.clone(), option.to_owned()));
            let setting = of_command.or_else(|| settings.get(&(String::new(), option.to_owned())));
            let Some(setting) = setting.filter(|_| !is_ruled_out(named.command, &before, argument)) else { continue };
            // A switch that is off needs no word, but what comes later must not turn it on.
            given.push(argument);
            let words = as_typed(argument, option, setting)?;
            if !words.is_empty() {
                described.push(format!("{} ({})", words.join(" "), setting.from));
            }
            added.extend(words.into_iter().map(OsString::from));
        }
    }
    let mut line = typed;
    line.splice(named.end..named.end, added);
    Ok(Settled { line, added: described.join(", "), unknown: unknown(&variables, &known) })
}

/// The command that a line names.
struct Named<'a> {
    /// `audit`, `data fetch`.
    name: String,
    command: &'a Command,
    /// The place in the line after its name.
    end: usize,
}

impl<'a> Named<'a> {
    fn of(program: &'a Command, words: &[&str]) -> Option<Self> {
        let mut named = Self { name: String::new(), command: program, end: 1 };
        let mut is_value = false;
        for (place, word) in words.iter().enumerate().skip(1) {
            let value = std::mem::replace(&mut is_value, takes_next_word(named.command, word));
            if let Some(inner) = named.command.find_subcommand(word).filter(|_| !value) {
                if inner.get_name() == "help" {
                    return None;
                }
                named =
                    Self { name: format!("{} {word}", named.name).trim().to_owned(), command: inner, end: place + 1 };
            } else if !named.command.has_subcommands() {
                break;
            }
        }
        (!named.command.has_subcommands()).then_some(named)
    }
}

fn takes_next_word(command: &Command, word: &str) -> bool {
    let is_named = |argument: &&Arg| argument.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
    command.get_arguments().find(is_named).is_some_and(|argument| argument.get_action().takes_values())
}

/// What was typed behind an option.
pub(super) fn typed_value(words: &[&str], option: &str) -> Option<String> {
    let flag = format!("--{option}");
    let joined = words.iter().find_map(|word| word.strip_prefix(&flag)?.strip_prefix('='));
    let apart = || words.iter().position(|word| *word == flag).and_then(|place| words.get(place + 1).copied());
    joined.or_else(apart).map(str::to_owned)
}

fn is_typed(words: &[&str], argument: &Arg) -> bool {
    let long = argument.get_long().map(|long| format!("--{long}"));
    let is_long = |word: &str| {
        long.as_ref()
            .and_then(|long| word.strip_prefix(long.as_str()))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    // Short options are switches, which may stand together.
    let letters = |word: &str| word.strip_prefix('-').filter(|rest| !rest.starts_with('-')).map(str::to_owned);
    let is_short = |word: &str| {
        argument.get_short().is_some_and(|short| {
            letters(word).is_some_and(|letters| letters.starts_with(char::is_alphabetic) && letters.contains(short))
        })
    };
    words.iter().any(|word| is_long(word) || is_short(word))
}

/// Whether an option was given already, or one that it does not go with.
fn is_ruled_out(command: &Command, given: &[&Arg], argument: &Arg) -> bool {
    let conflict = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|found| found.get_id() == other.get_id())
    };
    given.iter().any(|other| {
        other.get_id() == argument.get_id()
            || other.is_exclusive_set()
            || conflict(argument, other)
            || conflict(other, argument)
    })
}

/// Every place where a setting may stand.
fn known(program: &Command) -> BTreeSet<Place> {
    fn visit(command: &Command, path: &str, places: &mut BTreeSet<Place>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let name = format!("{path} {}", inner.get_name()).trim().to_owned();
            if !inner.has_subcommands() {
                let options = inner.get_arguments().filter_map(Arg::get_long).filter(|option| is_settable(option));
                places.extend(options.map(|option| (name.clone(), option.to_owned())));
            }
            visit(inner, &name, places);
        }
    }
    let mut places = SHARED.iter().map(|option| (String::new(), (*option).to_owned())).collect();
    visit(program, "", &mut places);
    places
}

fn is_settable(option: &str) -> bool {
    !TYPED_ONLY.contains(&option)
}

/// `VAECERT_AUDIT_INPUTS`; `VAECERT_THREADS` for all commands.
fn variable(command: &str, option: &str) -> String {
    let name = format!("{command} {option}").trim().replace([' ', '-'], "_").to_uppercase();
    format!("{PREFIX}{name}")
}

fn of_environment(variables: &BTreeMap<String, String>, known: &BTreeSet<Place>) -> Settings {
    let setting = |place: &Place| {
        let from = variable(&place.0, &place.1);
        Some((place.clone(), Setting { value: variables.get(&from)?.clone(), from }))
    };
    known.iter().filter_map(setting).collect()
}

fn unknown(variables: &BTreeMap<String, String>, known: &BTreeSet<Place>) -> Vec<String> {
    let mut names: Vec<String> = known.iter().map(|(command, option)| variable(command, option)).collect();
    names.push(variable("", FILE_OPTION));
    let of_them = variables.keys().filter(|name| !names.contains(name));
    of_them
        .map(|name| {
            let nearest = spelling::nearest(name, names.iter()).map(|nearest| format!("; did you mean {nearest}?"));
            format!("the variable {name} is no setting{}", nearest.unwrap_or_default())
        })
        .collect()
}

/// The words that say a setting on a command line.
fn as_typed(argument: &Arg, option: &str, setting: &Setting) -> Result<Vec<String>, Failure> {
    let flag = format!("--{option}");
    let Setting { value, from } = setting;
    let refused = |expected: &str| {
        Err(Failure::new(ExitCode::Usage, format!("{from}: expected {expected} for {flag}, found {value:?}")))
    };
    match argument.get_action() {
        ArgAction::SetTrue => match value.as_str() {
            "true" | "1" => Ok(vec![flag]),
            "false" | "0" => Ok(vec![]),
            _ => refused("true or false"),
        },
        ArgAction::Count => match value.parse() {
            Ok(count) if count <= MOST_OFTEN => Ok(vec![flag; count]),
            _ => refused(&format!("a number from 0 to {MOST_OFTEN}")),
        },
        // In one word, as a value may begin with a hyphen.
        _ => Ok(vec![format!("{flag}={value}")]),
    }
}

/// The settings of a file: a table per command, and above them what holds for all.
fn read(path: &Path, known: &BTreeSet<Place>) -> Result<Settings, Failure> {
    let from = format!("settings file {}", path.display());
    let unreadable = |reason: &dyn Display| Failure::new(ExitCode::Unreadable, format!("{from}: {reason}"));
    let bytes = files::read_regular(path).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&"not a text in UTF-8"))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| unreadable(&error.to_string().trim_end()))?;
    let mut settings = Settings::new();
    let mut tables = vec![(String::new(), table)];
    while let Some((command, table)) = tables.pop() {
        for (key, value) in table {
            let refused = |reason: String| {
                let place =
                    if command.is_empty() { key.clone() } else { format!("[{}] {key}", command.replace(' ', ".")) };
                Failure::new(ExitCode::Usage, format!("{from}: {place}: {reason}"))
            };
            let inner = format!("{command} {key}").trim().to_owned();
            let is_command = known.iter().any(|(name, _)| *name == inner || name.starts_with(&format!("{inner} ")));
            let place = (command.clone(), key.replace('_', "-"));
            match value {
                toml::Value::Table(table) if is_command => tables.push((inner, table)),
                value if known.contains(&place) => {
                    let expected =
                        || refused(format!("expected a value or a list of values, found: {}", value.type_str()));
                    let value = as_text(&value).ok_or_else(expected)?;
                    settings.insert(place, Setting { value, from: path.display().to_string() });
                }
                _ => return Err(refused(no_such_key(&command, &key, known))),
            }
        }
    }
    Ok(settings)
}

fn no_such_key(command: &str, key: &str, known: &BTreeSet<Place>) -> String {
    let here = known.iter().filter(|(name, _)| name == command).map(|(_, option)| option.replace('-', "_"));
    let inner = |(name, _): &Place| {
        let rest = if command.is_empty() { name } else { name.strip_prefix(&format!("{command} "))? };
        rest.split(' ').next().filter(|word| !word.is_empty()).map(str::to_owned)
    };
    let names: BTreeSet<String> = here.chain(known.iter().filter_map(inner)).collect();
    let option = key.replace('_', "-");
    let elsewhere = known.iter().filter(|(_, known)| *known == option).map(|(name, _)| name.replace(' ', "."));
    let elsewhere = elsewhere.map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ");
    if command.is_empty() && !elsewhere.is_empty() {
        return format!("belongs below the command that it is for: {elsewhere}");
    }
    let nearest = spelling::nearest(key, names.iter()).map(|name| format!("did you mean {name}? "));
    let names: Vec<String> = names.into_iter().collect();
    format!("no such setting; {}known here: {}", nearest.unwrap_or_default(), names.join(", "))
}

/// A value, or values separated by commas, as they would be typed.
fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(is) => Some(is.to_string()),
        toml::Value::Array(values) => {
            let single = values.iter().filter(|value| !value.is_array()).filter_map(as_text).collect::<Vec<_>>();
            (single.len() == values.len()).then(|| single.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Arguments;
    use clap::CommandFactory;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn environment(variables: &[(&str, &str)]) -> std::vec::IntoIter<(OsString, OsString)> {
        let pairs: Vec<_> =
            variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        pairs.into_iter()
    }

    fn with(line: &str, variables: &[(&str, &str)]) -> Settled {
        settled(&Arguments::command(), words(line), environment(variables)).unwrap()
    }

    fn with_file(line: &str, text: &str, variables: &[(&str, &str)]) -> Result<Settled, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let file = ("VAECERT_SETTINGS", path.to_str().unwrap());
        let variables = [variables, &[file]].concat();
        let settled = settled(&Arguments::command(), words(line), environment(&variables));
        settled.map_err(|failure| failure.to_string().replace(path.to_str().unwrap(), "s.toml"))
    }

    #[test]
    fn a_setting_is_put_behind_the_command_it_belongs_to() {
        let variables = [("VAECERT_AUDIT_INPUTS", "7"), ("VAECERT_CERTIFY_INPUTS", "8"), ("VAECERT_QUIET", "true")];
        let settled = with("vaecert --color never audit --seed 3", &variables);
        assert_eq!(settled.line, words("vaecert --color never audit --inputs=7 --quiet --seed 3"));
        assert_eq!(settled.added, "--inputs=7 (VAECERT_AUDIT_INPUTS), --quiet (VAECERT_QUIET)");
        let fetch = with("vaecert data fetch mnist", &[("VAECERT_DATA_FETCH_OUT", "d"), ("VAECERT_VERBOSE", "2")]);
        assert_eq!(fetch.line, words("vaecert data fetch --out=d --verbose --verbose mnist"));
    }

    #[test]
    fn flags_go_before_variables_and_these_before_the_file() {
        let file = "threads = 1\n[audit]\ninputs = 5\nseed = 5\nthreads = 5\nmean = [0.5, -1]\n";
        let settled =
            with_file("vaecert audit --inputs 3", file, &[("VAECERT_AUDIT_SEED", "4"), ("VAECERT_AUDIT_INPUTS", "4")]);
        let line = settled.unwrap().line;
        assert_eq!(line, words("vaecert audit --seed=4 --mean=0.5,-1 --threads=5 --inputs 3"));
        // All commands in the environment go before one command in the file.
        let line = with_file("vaecert audit", "[audit]\nthreads = 5", &[("VAECERT_THREADS", "2")]).unwrap().line;
        assert_eq!(line, words("vaecert audit --threads=2"));
        // A switch that a variable turns off stays off.
        let line = with_file("vaecert audit", "[audit]\njson = true", &[("VAECERT_AUDIT_JSON", "false")]).unwrap().line;
        assert_eq!(line, words("vaecert audit"));
    }

    #[test]
    fn an_option_that_was_typed_rules_out_what_it_does_not_go_with() {
        let variables = [("VAECERT_AUDIT_R", "4")];
        assert_eq!(with("vaecert audit --r-quantile=0.5", &variables).line, words("vaecert audit --r-quantile=0.5"));
        assert_eq!(with("vaecert audit", &variables).line, words("vaecert audit --r=4"));
        let both = with_file("vaecert audit", "[audit]\nr_quantile = 0.5", &variables).unwrap();
        assert_eq!(both.line, words("vaecert audit --r=4"));
        assert_eq!(with("vaecert -vq audit", &[("VAECERT_VERBOSE", "1")]).line, words("vaecert -vq audit"));
        assert_eq!(
            with("vaecert check --example", &[("VAECERT_CHECK_OUT", "o")]).line,
            words("vaecert check --example")
        );
        assert_eq!(with("vaecert claims --list", &[("VAECERT_CLAIMS_SEED", "1")]).line, words("vaecert claims --list"));
    }

    #[test]
    fn lines_without_a_command_and_questions_for_help_are_left_alone() {
        let variables = [("VAECERT_QUIET", "true"), ("VAECERT_AUDIT_INPUTS", "7"), ("VAECERT_INPTS", "7")];
        for line in [
            "vaecert",
            "vaecert --version",
            "vaecert --color audit",
            "vaecert data",
            "vaecert audit --help",
            "vaecert help audit",
        ] {
            assert_eq!(with(line, &variables), Settled { line: words(line), ..Settled::default() }, "{line}");
        }
        // What stands behind -- is no option.
        let positional = with("vaecert report -- --quiet", &variables);
        assert_eq!(positional.line, words("vaecert report --quiet -- --quiet"));
    }

    #[test]
    fn what_destroys_must_be_typed_and_what_is_misspelt_is_said() {
        let settled = with("vaecert audit", &[("VAECERT_AUDIT_OVERWRITE", "true"), ("VAECERT_AUDIT_INPTS", "7")]);
        assert_eq!(settled.line, words("vaecert audit"));
        assert_eq!(settled.unknown.len(), 2);
        assert!(settled.unknown[0].contains("VAECERT_AUDIT_INPTS is no setting; did you mean VAECERT_AUDIT_INPUTS?"));
        assert_eq!(with("vaecert audit", &[("VAECERT_LOG", "debug")]).unknown, Vec::<String>::new());
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_with_the_place() {
        for (text, expected) in [
            ("inputs = 3", "s.toml: inputs: belongs below the command that it is for: [audit], [certify], [import], [linearization]"),
            ("inptus = 3", "settings file s.toml: inptus: no such setting; known here: audit, certify"),
            ("[audit]\ninptus = 3", "[audit] inptus: no such setting; did you mean inputs?"),
            ("[audti]\ninputs = 3", "audti: no such setting; did you mean audit?"),
            ("[data.fetch]\nbase_ulr = 'x'", "[data.fetch] base_ulr: no such setting; did you mean base_url?"),
            ("[audit]\noverwrite = true", "[audit] overwrite: no such setting"),
            ("[audit.inputs]\na = 1", "[audit] inputs: expected a value or a list of values, found: table"),
            ("[audit]\ninputs = [[1]]", "[audit] inputs: expected a value"),
            ("[audit]\njson = 'yes'", "s.toml: expected true or false for --json, found \"yes\""),
            ("verbose = 4", "expected a number from 0 to 3 for --verbose"),
            ("audit = 3", "audit: no such setting"),
            ("x = = 1", "settings file s.toml: TOML parse error at line 1"),
        ] {
            let error = with_file("vaecert audit", text, &[]).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let absent =
            settled(&Arguments::command(), words("vaecert audit"), environment(&[("VAECERT_SETTINGS", "/none")]));
        assert!(absent.unwrap_err().to_string().starts_with("settings file /none: "));
    }
}
