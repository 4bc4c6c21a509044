//! The frame of a plot: scales, ticks, labels and legend.

use super::svg::{Anchor, Svg};

/// A linear scale from numbers to places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// Largest number; the smallest is 0.
    pub(super) end: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// From 0 at the place `from` to `end` at `to`; an end that is no positive number becomes 1.
    pub(super) fn new(end: f64, from: f64, to: f64) -> Self {
        let end = if end.is_finite() && end > 0.0 { end } else { 1.0 };
        Self { end, from, to }
    }

    /// The place of a number, held inside the scale.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = (value / self.end).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Round numbers along the scale, each with its text.
    fn ticks(&self) -> Vec<(f64, String)> {
        let step = tick_step(self.end / TICKS);
        let decimals = decimals(step);
        let last = (self.end / step + 1e-9).floor();
        let numbers = (0..=MOST_TICKS).map(f64::from).take_while(|index| *index <= last);
        // Fixed decimals beyond these would be longer than the axis.
        let plain = (1e-4..1e6).contains(&step);
        let text = |value: f64| {
            if plain {
                format!("{value:.decimals$}")
            } else if value == 0.0 {
                "0".to_owned()
            } else {
                format!("{value:.0e}")
            }
        };
        numbers.map(|index| (index * step, text(index * step))).collect()
    }
}

/// About so many ticks.
const TICKS: f64 = 5.0;
/// Never more than this.
const MOST_TICKS: u32 = 20;

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn tick_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn decimals(step: f64) -> usize {
    let magnitude = -(step.log10() + 1e-9).floor();
    // Held between 0 and 20 first.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let decimals = magnitude.clamp(0.0, 20.0) as usize;
    decimals
}

/// The rectangle in which numbers are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

/// Room for ticks and the label on the left.
pub(super) const LEFT_MARGIN: f64 = 54.0;
/// Room for ticks and the label below.
pub(super) const BOTTOM_MARGIN: f64 = 48.0;
/// Room for half a tick's text on the right.
pub(super) const RIGHT_MARGIN: f64 = 14.0;

impl Frame {
    /// The frame in a drawing of this size whose first `top` units are taken.
    pub(super) fn new(width: f64, height: f64, top: f64) -> Self {
        Self { left: LEFT_MARGIN, top, right: width - RIGHT_MARGIN, bottom: height - BOTTOM_MARGIN }
    }

    pub(super) fn x(&self, end: f64) -> Scale {
        Scale::new(end, self.left, self.right)
    }

    pub(super) fn y(&self, end: f64) -> Scale {
        Scale::new(end, self.bottom, self.top)
    }

    /// Grid, axes, ticks and labels.
    pub(super) fn draw(&self, svg: &mut Svg, (x, x_label): (&Scale, &str), (y, y_label): (&Scale, &str)) {
        for (value, text) in y.ticks() {
            let place = y.place(value);
            svg.line("gr", (self.left, place), (self.right, place));
            svg.text((self.left - 6.0, place + 4.0), "tk", Anchor::End, &text);
        }
        for (value, text) in x.ticks() {
            let place = x.place(value);
            svg.line("gr", (place, self.top), (place, self.bottom));
            svg.text((place, self.bottom + 19.0), "tk", Anchor::Middle, &text);
        }
        svg.path("ax", &[(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)]);
        let middle = |from: f64, to: f64| 0.5 * (from + to);
        svg.text((middle(self.left, self.right), self.bottom + 39.0), "lb", Anchor::Middle, x_label);
        svg.upright_text((14.0, middle(self.top, self.bottom)), "lb", y_label);
    }
}

/// How an entry of a legend is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Line,
    Dot,
    Area,
}

/// Height of one row of a legend.
const ROW_HEIGHT: f64 = 17.0;
/// Width of a character of a legend's text, on the generous side.
const CHARACTER_WIDTH: f64 = 6.9;
const MARK_WIDTH: f64 = 20.0;

/// Draws the entries in rows above a plot, and returns the height that they take.
pub(super) fn legend(svg: &mut Svg, width: f64, entries: &[(Mark, &str, &str)]) -> f64 {
    let (mut x, mut y) = (LEFT_MARGIN, 14.0);
    for (mark, class, text) in entries {
        let needed = MARK_WIDTH + 6.0 + CHARACTER_WIDTH * text.chars().count() as f64;
        if x > LEFT_MARGIN && x + needed > width {
            (x, y) = (LEFT_MARGIN, y + ROW_HEIGHT);
        }
        match mark {
            Mark::Line => svg.line(class, (x, y - 4.0), (x + MARK_WIDTH, y - 4.0)),
            Mark::Dot => svg.dots(class, &[(x + 0.5 * MARK_WIDTH, y - 4.0)]),
            Mark::Area => svg.rectangle(class, (x, y - 10.0), MARK_WIDTH, 11.0),
        }
        svg.text((x + MARK_WIDTH + 5.0, y), "lg", Anchor::Start, text);
        x += needed + 12.0;
    }
    y + 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let texts = |end| Scale::new(end, 0.0, 1.0).ticks().into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        assert_eq!(texts(1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(0.43), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(texts(23.0), ["0", "5", "10", "15", "20"]);
        assert_eq!(texts(3e-7), ["0", "1e-7", "2e-7", "3e-7"]);
        assert!(texts(f64::MIN_POSITIVE).len() <= 21);
        assert!(texts(1e300).len() < 8);
    }

    #[test]
    fn what_is_no_number_or_lies_outside_stays_on_the_scale() {
        let scale = Scale::new(2.0, 10.0, 20.0);
        assert_eq!(
            [0.0, 1.0, 2.0, 3.0, -1.0, f64::INFINITY].map(|v| scale.place(v)),
            [10.0, 15.0, 20.0, 20.0, 10.0, 20.0]
        );
        assert_eq!([0.0, f64::NAN, f64::INFINITY, -1.0].map(|end| Scale::new(end, 0.0, 1.0).end), [1.0; 4]);
    }

    #[test]
    fn a_legend_that_is_too_wide_takes_another_row() {
        let entry = (Mark::Line, "ce", "as long as twenty-four ch");
        let one = legend(&mut Svg::default(), 480.0, &[entry]);
        assert_eq!(one, legend(&mut Svg::default(), 480.0, &[entry; 2]));
        assert_eq!(legend(&mut Svg::default(), 480.0, &[entry; 3]), one + ROW_HEIGHT);
    }
}
