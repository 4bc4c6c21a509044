//! SVG, written element by element: classes instead of colours, so that a page and a picture can each bring their own.

use std::fmt::Write;

/// Where a text sits relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Elements of one drawing.
#[derive(Debug, Clone, Default)]
pub(super) struct Svg {
    body: String,
}

/// A finished drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Width in its own units.
    pub width: u32,
    /// Height in its own units.
    pub height: u32,
    /// What it shows, for those who do not see it.
    pub title: String,
    /// The elements.
    pub body: String,
}

impl Svg {
    pub(super) fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: Anchor, text: &str) {
        let anchor = anchor.attribute();
        let (x, y, text) = (number(x), number(y), escaped(text));
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>");
    }

    /// A text that reads upwards, centred on its point.
    pub(super) fn upright_text(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let (x, y, text) = (number(x), number(y), escaped(text));
        let _ = write!(
            self.body,
            "<text class=\"{class}\" transform=\"translate({x} {y}) rotate(-90)\" text-anchor=\"middle\">{text}</text>"
        );
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.body,
            "<path class=\"{class}\" d=\"M{} {}L{} {}\"/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1)
        );
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if !points.is_empty() {
            let _ = write!(self.body, "<path class=\"{class}\" d=\"{}\"/>", path_data(points));
        }
    }

    /// A filled area.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        if !points.is_empty() {
            let _ = write!(self.body, "<path class=\"{class}\" d=\"{}Z\"/>", path_data(points));
        }
    }

    /// Round dots, as one path: each is a stroke of no length with round ends.
    pub(super) fn dots(&mut self, class: &str, points: &[(f64, f64)]) {
        let data: String = points.iter().map(|(x, y)| format!("M{} {}h0", number(*x), number(*y))).collect();
        if !data.is_empty() {
            let _ = write!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
        }
    }

    pub(super) fn rectangle(&mut self, class: &str, (x, y): (f64, f64), width: f64, height: f64) {
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            number(x),
            number(y),
            number(width),
            number(height)
        );
    }

    pub(super) fn finish(self, width: u32, height: u32, title: String) -> Figure {
        Figure { width, height, title, body: self.body }
    }
}

impl Anchor {
    fn attribute(self) -> &'static str {
        match self {
            Self::Start => "",
            Self::Middle => " text-anchor=\"middle\"",
            Self::End => " text-anchor=\"end\"",
        }
    }
}

impl Figure {
    /// As an element of a page, without a size of its own.
    #[must_use]
    pub fn inline(&self) -> String {
        let title = escaped(&self.title);
        format!(
            "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>{}</svg>",
            self.width, self.height, self.body
        )
    }
}

fn path_data(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(data, "{command}{} {}", number(*x), number(*y));
    }
    data
}

/// A coordinate with at most one decimal; what is not finite lands on 0 rather than break the drawing.
pub(super) fn number(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = format!("{value:.1}");
    let short = text.strip_suffix(".0").unwrap_or(&text);
    if short == "-0" { "0" } else { short }.to_owned()
}

/// Text as XML and HTML: nothing in it is markup, not even inside quotation marks. Characters that XML forbids become
/// question marks.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_always_numbers() {
        assert_eq!([1.0, 1.25, -0.04, 0.06].map(number), ["1", "1.2", "0", "0.1"]);
        assert_eq!([f64::NAN, f64::INFINITY].map(number), ["0", "0"]);
    }

    #[test]
    fn markup_in_a_text_stays_a_text() {
        assert_eq!(escaped("<script>'\"&\u{0}\n"), "&lt;script&gt;&#39;&quot;&amp;? ");
        let mut svg = Svg::default();
        svg.text((1.0, 2.0), "tk", Anchor::End, "a<b");
        assert_eq!(svg.body, "<text class=\"tk\" x=\"1\" y=\"2\" text-anchor=\"end\">a&lt;b</text>");
    }

    #[test]
    fn dots_are_one_path() {
        let mut svg = Svg::default();
        svg.dots("pt", &[(1.0, 2.0), (3.5, 4.0)]);
        svg.dots("pt", &[]);
        assert_eq!(svg.body, "<path class=\"pt\" d=\"M1 2h0M3.5 4h0\"/>");
    }
}
