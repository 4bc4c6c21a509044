//! Colours of the words that say how something stands: the same word has the same colour in every command.

use anstyle::{AnsiColor, Style};

/// Good news.
const GOOD: [&str; 4] = ["bracketed", "verified", "passed", "confirmed"];
/// Something is open.
const OPEN: [&str; 5] = ["undecided", "UNDECIDED", "incomplete", "abstained", "INCOMPLETE"];
/// Bad news.
const BAD: [&str; 10] =
    ["ALARM", "ALARMS", "alarms", "FAILED", "failed", "rejected", "REJECTED", "WORSE", "CONTRADICTED", "contradicted"];

/// The text with its verdicts in colours. A count of 0 is no news.
pub(super) fn painted(text: &str) -> String {
    let mut painted = String::with_capacity(text.len());
    // A word with what stands behind it.
    for piece in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let word = piece.trim_end_matches(|c: char| !c.is_alphabetic());
        match style(word).filter(|_| !counts_none(&painted)) {
            Some(style) => painted += &format!("{style}{word}{style:#}{}", &piece[word.len()..]),
            None => painted += piece,
        }
    }
    painted
}

fn style(word: &str) -> Option<Style> {
    let color = if GOOD.contains(&word) {
        AnsiColor::Green
    } else if OPEN.contains(&word) {
        AnsiColor::Yellow
    } else if BAD.contains(&word) {
        AnsiColor::Red
    } else {
        return None;
    };
    Some(color.on_default())
}

/// Whether a text ends with the number 0 and a space.
fn counts_none(text: &str) -> bool {
    let number = text.strip_suffix(" 0 ").or_else(|| text.strip_suffix("(0 ")).or_else(|| text.strip_suffix("\n0 "));
    number.is_some() || text == "0 "
}

/// What stands before an error.
pub(super) fn error_title(in_color: bool) -> String {
    if in_color {
        let style = AnsiColor::Red.on_default().bold();
        format!("{style}error:{style:#}")
    } else {
        "error:".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_have_colours_and_counts_of_none_do_not() {
        let text = "20 inputs: 18 bracketed, 2 undecided, 0 alarms, 10 failed; unbracketed\n";
        let expected = "20 inputs: 18 \u{1b}[32mbracketed\u{1b}[0m, 2 \u{1b}[33mundecided\u{1b}[0m, 0 alarms, \
                        10 \u{1b}[31mfailed\u{1b}[0m; unbracketed\n";
        assert_eq!(painted(text), expected);
        assert_eq!(anstream::adapter::strip_str(&painted(text)).to_string(), text);
        assert_eq!(painted("0 failed (0 undecided)"), "0 failed (0 undecided)");
    }

    #[test]
    fn text_without_verdicts_stays_as_it_is() {
        for text in ["", "‖Δ(x,0)‖ ≤ r", "C ── A\n\n", "failure FAILEDx"] {
            assert_eq!(painted(text), text);
        }
    }
}
