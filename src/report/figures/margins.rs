//! Each bound against the empirical margin (the paper's figure 6), a panel per bound.

use super::{axis_end, distinct};
use crate::audit::summary::{certified, margin, operator, theorem1, whitened, Association};
use crate::audit::InputRecord;
use crate::report::axis::{legend, Frame, Mark};
use crate::report::svg::{Anchor, Figure, Svg};

const WIDTH: u32 = 380;
const HEIGHT: u32 = 330;
/// From so many inputs on, dots are small.
const MANY: usize = 400;

/// A bound: its name, what kind of number it is, and its place in a record.
type Bound = (&'static str, &'static str, fn(&InputRecord) -> Option<f64>);

const BOUNDS: [Bound; 4] = [
    ("theorem1", "estimate", theorem1),
    ("operator", "estimate", operator),
    ("whitened", "estimate", whitened),
    ("certified", "lower bound", certified),
];

/// The four panels, each with a sentence about what its inputs say.
pub(crate) fn margins(records: &[InputRecord]) -> Vec<(Figure, String)> {
    BOUNDS.iter().map(|bound| panel(records, bound)).collect()
}

fn panel(records: &[InputRecord], &(name, kind, bound): &Bound) -> (Figure, String) {
    let association = Association::of(records, name, bound);
    let pairs = || records.iter().filter_map(|r| Some((bound(r)?, margin(r)?))).filter(finite);
    let mut svg = Svg::default();
    let (width, height) = (f64::from(WIDTH), f64::from(HEIGHT));
    let mut entries = vec![(Mark::Dot, "pt", "input"), (Mark::Line, "id", "equal")];
    let line = association.slope.zip(association.intercept);
    if line.is_some() {
        entries.push((Mark::Line, "ft", "least squares"));
    }
    let frame = Frame::new(width, height, legend(&mut svg, width, &entries) + 6.0);
    let (x, y) = (frame.x(axis_end(pairs().map(|p| p.0))), frame.y(axis_end(pairs().map(|p| p.1))));
    let x_label = format!("{name}, {kind} (input units)");
    frame.draw(&mut svg, (&x, &x_label), (&y, "empirical margin, upper bound (input units)"));
    let end = x.end.min(y.end);
    svg.line("id", (x.place(0.0), y.place(0.0)), (x.place(end), y.place(end)));
    let dot = if association.inputs > MANY { "ps" } else { "pt" };
    svg.dots(dot, &distinct(pairs().map(|(a, b)| (x.place(a), y.place(b)))));
    if let Some((slope, intercept)) = line {
        let (low, high) = pairs().fold((f64::INFINITY, 0.0_f64), |(low, high), (x, _)| (low.min(x), high.max(x)));
        // As far as the line lies within the frame.
        let crossing = |height: f64| (height - intercept) / slope;
        let (bottom, top) = (crossing(0.0).min(crossing(y.end)), crossing(0.0).max(crossing(y.end)));
        let (low, high) = if slope.abs() > 0.0 { (low.max(bottom), high.min(top)) } else { (low, high) };
        let at = |value: f64| (x.place(value), y.place(slope * value + intercept));
        if low <= high {
            svg.line("ft", at(low), at(high));
        }
    }
    if association.inputs == 0 {
        let middle = (0.5 * (frame.left + frame.right), 0.5 * (frame.top + frame.bottom));
        svg.text(middle, "lb", Anchor::Middle, "no input has both numbers");
    }
    let title = format!("{name} against the empirical margin");
    (svg.finish(WIDTH, HEIGHT, title), sentence(&association, records.len()))
}

fn finite(pair: &(f64, f64)) -> bool {
    pair.0.is_finite() && pair.1.is_finite()
}

/// The figures of the fit, and how many inputs are not drawn.
fn sentence(association: &Association, all: usize) -> String {
    let Association { bound, inputs, pearson, spearman, slope, intercept } = association;
    let fit = match (pearson, spearman, slope, intercept) {
        (Some(pearson), Some(spearman), Some(slope), Some(intercept)) => format!(
            "Pearson {pearson:.2}, Spearman {spearman:.2}; margin ≈ {slope:.2} · {bound} {} {:.2}",
            if *intercept < 0.0 { '−' } else { '+' },
            intercept.abs()
        ),
        _ => "too few distinct inputs for a correlation".to_owned(),
    };
    let left_out = all - inputs;
    if left_out == 0 {
        format!("{fit} (all {inputs} inputs)")
    } else {
        format!("{fit} ({inputs} of {all} inputs; {left_out} without both as finite numbers)")
    }
}
