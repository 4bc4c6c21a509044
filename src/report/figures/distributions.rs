//! Where the margins lie: what is certified from below, what is refuted from above.

use super::axis_end;
use crate::audit::summary::{smallest_upper, standing_certificate};
use crate::audit::InputRecord;
use crate::report::axis::{legend, Frame, Mark, Scale, BOTTOM_MARGIN};
use crate::report::svg::{Figure, Svg};

const WIDTH: u32 = 420;
const HEIGHT: u32 = 380;
const BINS: u32 = 25;

/// Two histograms over one axis, and how many inputs neither shows.
pub(crate) fn distributions(records: &[InputRecord]) -> (Figure, String) {
    let lowers: Vec<f64> =
        records.iter().map(|record| standing_certificate(record).get()).filter(|v| v.is_finite() && *v > 0.0).collect();
    let uppers: Vec<f64> = records.iter().filter_map(smallest_upper).filter(|v| v.is_finite()).collect();
    let end = axis_end(lowers.iter().chain(&uppers).copied());
    let mut svg = Svg::default();
    let (width, height) = (f64::from(WIDTH), f64::from(HEIGHT));
    let entries = [(Mark::Area, "hl", "certified, lower bound"), (Mark::Area, "hu", "smallest known upper bound")];
    let top = legend(&mut svg, width, &entries) + 6.0;
    let half = 0.5 * (height - top - 2.0 * BOTTOM_MARGIN);
    let upper_frame = Frame::new(width, top + half + BOTTOM_MARGIN, top);
    let lower_frame = Frame::new(width, height, top + half + BOTTOM_MARGIN);
    histogram(&mut svg, &upper_frame, &lowers, end, ("hl", "certified margin, at least (input units)"));
    histogram(&mut svg, &lower_frame, &uppers, end, ("hu", "margin, at most (input units)"));
    let missing = |shown: usize| records.len() - shown;
    let text = format!(
        "Of {} inputs, {} have no finite certified radius above 0 and {} no finite upper bound; those are not drawn.",
        records.len(),
        missing(lowers.len()),
        missing(uppers.len())
    );
    (svg.finish(WIDTH, HEIGHT, "Distributions of certified radii and of upper bounds of the margin".to_owned()), text)
}

fn histogram(svg: &mut Svg, frame: &Frame, values: &[f64], end: f64, (class, label): (&str, &str)) {
    let x = frame.x(end);
    let counts = counts(values, &x);
    let most = counts.iter().copied().max().unwrap_or(0);
    let y = frame.y(f64::from(most.max(4)));
    frame.draw(svg, (&x, label), (&y, "inputs"));
    let width = (frame.right - frame.left) / f64::from(BINS);
    for (bin, count) in (0..BINS).zip(counts).filter(|(_, count)| *count > 0) {
        let top = y.place(f64::from(count));
        svg.rectangle(class, (frame.left + width * f64::from(bin) + 0.5, top), width - 1.0, frame.bottom - top);
    }
}

fn counts(values: &[f64], x: &Scale) -> Vec<u32> {
    let edge = |bin: u32| x.end * f64::from(bin) / f64::from(BINS);
    let mut counts = vec![0; BINS as usize];
    for value in values {
        // The last bin takes its right edge.
        let bin = (1..BINS).take_while(|bin| edge(*bin) <= *value).count();
        counts[bin] += 1;
    }
    counts
}
