//! Colours that differ in brightness too, and dashes, so that plots can be read without telling hues apart.

/// One colour scheme.
struct Scheme {
    ink: &'static str,
    muted: &'static str,
    grid: &'static str,
    paper: &'static str,
    lower: &'static str,
    upper: &'static str,
    third: &'static str,
    band: &'static str,
}

/// Okabe and Ito's blue, vermilion and green, on white.
const LIGHT: Scheme = Scheme {
    ink: "#1a1a1a",
    muted: "#595959",
    grid: "#e3e3e3",
    paper: "#ffffff",
    lower: "#0072b2",
    upper: "#c44e00",
    third: "#00795a",
    band: "#d9d9d9",
};
/// Their light relatives, on black.
const DARK: Scheme = Scheme {
    ink: "#ececec",
    muted: "#b0b0b0",
    grid: "#333639",
    paper: "#16181a",
    lower: "#56b4e9",
    upper: "#f2913d",
    third: "#35c49a",
    band: "#3d4145",
};

/// What each class of a plot looks like; `NAME` in angle brackets is a colour.
const PLOT: &str = ".tk,.lg{font-size:12px;fill:<ink>}.lb{font-size:12.5px;fill:<ink>}\
.gr{stroke:<grid>;stroke-width:1;fill:none}.ax{stroke:<muted>;stroke-width:1;fill:none}\
.ce{stroke:<lower>;stroke-width:2.2;fill:none}.at{stroke:<upper>;stroke-width:2;stroke-dasharray:6 3;fill:none}\
.bd{fill:<band>;stroke:none}.id{stroke:<muted>;stroke-width:1.2;stroke-dasharray:2 3;fill:none}\
.ft{stroke:<upper>;stroke-width:1.8;stroke-dasharray:7 3;fill:none}\
.pt{stroke:<lower>;stroke-width:5;stroke-linecap:round;fill:none}\
.ps{stroke:<lower>;stroke-width:2.2;stroke-linecap:round;fill:none}.hl{fill:<lower>}.hu{fill:<upper>}\
.r1{stroke:<upper>;stroke-width:2;fill:none}.r2{stroke:<lower>;stroke-width:2;stroke-dasharray:7 3;fill:none}\
.r3{stroke:<third>;stroke-width:2;stroke-dasharray:2 2;fill:none}\
.p1{stroke:<upper>;stroke-width:1.4}.p2{stroke:<lower>;stroke-width:1.4}.p3{stroke:<third>;stroke-width:1.4}\
.hd{font-size:15px;font-weight:bold;fill:<ink>}.pp{fill:<paper>}";

impl Scheme {
    fn colours(&self) -> [(&'static str, &'static str); 8] {
        [
            ("ink", self.ink),
            ("muted", self.muted),
            ("grid", self.grid),
            ("paper", self.paper),
            ("lower", self.lower),
            ("upper", self.upper),
            ("third", self.third),
            ("band", self.band),
        ]
    }

    fn variables(&self) -> String {
        self.colours().map(|(name, colour)| format!("--{name}:{colour};")).concat()
    }
}

/// The style of plots inside a page, in the reader's colour scheme; on paper always the light one.
pub(super) fn for_pages() -> String {
    let plot = LIGHT
        .colours()
        .iter()
        .fold(PLOT.to_owned(), |text, (name, _)| text.replace(&format!("<{name}>"), &format!("var(--{name})")));
    format!(
        ":root{{color-scheme:light dark;{}}}@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}{plot}",
        LIGHT.variables(),
        DARK.variables()
    )
}

/// The style of plots inside a picture: light.
pub(super) fn for_pictures() -> String {
    LIGHT.colours().iter().fold(PLOT.to_owned(), |text, (name, colour)| text.replace(&format!("<{name}>"), colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance by WCAG 2.2.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_lines_stand_out_from_the_paper_in_both_schemes() {
        for scheme in [LIGHT, DARK] {
            for text in [scheme.ink, scheme.muted] {
                assert!(contrast(text, scheme.paper) >= 4.5, "{text} on {}", scheme.paper);
            }
            for line in [scheme.lower, scheme.upper, scheme.third] {
                assert!(contrast(line, scheme.paper) >= 3.0, "{line} on {}", scheme.paper);
                assert!(contrast(line, scheme.band) >= 2.0, "{line} on {}", scheme.band);
            }
        }
    }

    #[test]
    fn every_colour_of_a_style_is_known() {
        assert!(!for_pages().contains('<') && !for_pictures().contains('<') && !for_pictures().contains("var("));
    }
}
