//! Certified fraction against radius, the fraction not yet refuted above it, and what is undecided between them.

use super::axis_end;
use crate::audit::summary::{smallest_upper, standing_certificate};
use crate::audit::InputRecord;
use crate::report::axis::{legend, Frame, Mark, Scale};
use crate::report::curve::Curve;
use crate::report::svg::{Figure, Svg};

const WIDTH: u32 = 420;
const HEIGHT: u32 = 320;
/// Corners of a step nearer to the last one than this are not drawn.
const FINEST: f64 = 0.4;

/// The plot for all `planned` inputs.
pub(crate) fn fractions(records: &[InputRecord], planned: usize) -> Figure {
    let (lower, upper) = (Curve::certified(records, planned), Curve::unrefuted(records, planned));
    let mut svg = Svg::default();
    let (width, height) = (f64::from(WIDTH), f64::from(HEIGHT));
    let entries = [
        (Mark::Line, "at", "not known to be broken"),
        (Mark::Line, "ce", "certified"),
        (Mark::Area, "bd", "undecided between the two"),
    ];
    let frame = Frame::new(width, height, legend(&mut svg, width, &entries) + 6.0);
    let numbers =
        records.iter().flat_map(|record| [Some(standing_certificate(record).get()), smallest_upper(record)]).flatten();
    let (x, y) = (frame.x(axis_end(numbers)), frame.y(1.0));
    let (above, below) = (corners(&upper, &x, &y), corners(&lower, &x, &y));
    svg.area("bd", &above.iter().chain(below.iter().rev()).copied().collect::<Vec<_>>());
    let label = format!("fraction of all {planned} inputs");
    frame.draw(&mut svg, (&x, "norm of the perturbation ‖δ‖₂ (input units)"), (&y, &label));
    svg.path("at", &above);
    svg.path("ce", &below);
    svg.finish(WIDTH, HEIGHT, "Certified fraction of inputs against the norm of the perturbation".to_owned())
}

/// The corners of the steps from the norm 0 to the end of the scale.
fn corners(curve: &Curve, x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    let mut height = y.place(0.0);
    for (norm, share) in curve.steps() {
        let place = x.place(norm);
        match corners.last_mut() {
            // Steps too near to be seen apart become one.
            Some(last) if place - last.0 < FINEST => last.1 = y.place(share),
            Some(_) => corners.extend([(place, height), (place, y.place(share))]),
            None => corners.push((place, y.place(share))),
        }
        height = y.place(share);
    }
    corners.push((x.place(x.end), height));
    corners
}
