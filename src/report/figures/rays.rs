//! P(‖Δ‖ ≤ r) against ‖δ‖ along saved perturbations (the paper's figure 5).

use super::axis_end;
use crate::audit::ray::RayPoint;
use crate::quantity::Probability;
use crate::report::axis::{legend, Frame, Mark};
use crate::report::svg::{Figure, Svg};

const WIDTH: u32 = 420;
const HEIGHT: u32 = 340;
const MARKS: [[&str; 2]; 3] = [["r1", "p1"], ["r2", "p2"], ["r3", "p3"]];

/// One input's perturbation, followed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ray {
    /// Which input, and why it.
    pub(crate) name: String,
    /// Points, from no perturbation on.
    pub(crate) points: Vec<RayPoint>,
}

/// The plot; at most three rays have marks of their own.
pub(crate) fn rays(rays: &[Ray], level: Probability) -> Figure {
    let mut svg = Svg::default();
    let (width, height) = (f64::from(WIDTH), f64::from(HEIGHT));
    let marked: Vec<(&Ray, [&str; 2])> = rays.iter().zip(MARKS).collect();
    let threshold = format!("m = {}", level.get());
    let mut entries: Vec<_> = marked.iter().map(|(ray, [line, _])| (Mark::Line, *line, ray.name.as_str())).collect();
    entries.push((Mark::Line, "id", threshold.as_str()));
    let frame = Frame::new(width, height, legend(&mut svg, width, &entries) + 6.0);
    let norms = rays.iter().flat_map(|ray| &ray.points).map(|point| point.norm_upper.get());
    let (x, y) = (frame.x(axis_end(norms)), frame.y(1.0));
    frame.draw(&mut svg, (&x, "norm of the perturbation ‖δ‖₂ (input units)"), (&y, "P(‖Δ‖₂ ≤ r)"));
    svg.line("id", (frame.left, y.place(level.get())), (frame.right, y.place(level.get())));
    for (ray, [line, dot]) in marked {
        let place = |point: &RayPoint| (x.place(point.norm_upper.get()), y.place(share(point)));
        let places: Vec<(f64, f64)> = ray.points.iter().map(place).collect();
        svg.path(line, &places);
        for (point, (at, _)) in ray.points.iter().zip(&places) {
            let (low, high) = (y.place(point.probability_lower.get()), y.place(point.probability_upper.get()));
            svg.line(dot, (*at, low), (*at, high));
            for end in [low, high] {
                svg.line(dot, (at - 3.0, end), (at + 3.0, end));
            }
        }
    }
    svg.finish(WIDTH, HEIGHT, "Probability of staying within r along saved perturbations".to_owned())
}

/// The share of draws inside; those that count for neither side are taken for half.
fn share(point: &RayPoint) -> f64 {
    let counts = point.counts;
    let open = counts.draws.saturating_sub(counts.inside + counts.outside);
    (counts.inside as f64 + 0.5 * open as f64) / counts.draws.max(1) as f64
}
