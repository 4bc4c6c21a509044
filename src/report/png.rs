//! The main plots as a picture: the page's own drawings side by side, with letters from an embedded font.

use std::fmt::Write;
use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{fontdb, Options, Tree};

use super::content::Report;
use super::figures::{fractions, margins};
use super::svg::{Anchor, Figure, Svg};
use super::{palette, ReportError};

/// Latin, Greek and the signs that plots use, of DejaVu Sans 2.37.
const FONT: &[u8] = include_bytes!("fonts/DejaVuSans-subset.ttf");
const FAMILY: &str = "DejaVu Sans";
/// Pixels per unit of a drawing.
const ZOOM: u32 = 2;
/// Around the picture and between its plots.
const GAP: u32 = 16;
const HEADING_HEIGHT: u32 = 30;
/// How much larger the first drawing is than the others, in tenths.
const LARGE_TENTHS: u32 = 18;

pub(super) fn picture(report: &Report<'_>) -> Result<Vec<u8>, ReportError> {
    let figures: Vec<Figure> = std::iter::once(fractions(report.records, report.planned()))
        .chain(margins(report.records).into_iter().map(|panel| panel.0))
        .collect();
    let (svg, width, height) = sheet(&heading(report), &figures);
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    let options = Options { fontdb: Arc::new(fonts), font_family: FAMILY.to_owned(), ..Options::default() };
    let refused = |error: &dyn std::fmt::Display| ReportError::Picture(error.to_string());
    let tree = Tree::from_str(&svg, &options).map_err(|error| refused(&error))?;
    let mut pixmap = Pixmap::new(width * ZOOM, height * ZOOM).ok_or_else(|| refused(&"it has no size"))?;
    let zoom = ZOOM as f32;
    resvg::render(&tree, Transform::from_scale(zoom, zoom), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| refused(&error))
}

fn heading(report: &Report<'_>) -> String {
    let summary = &report.summary;
    let unfinished = if report.is_finished() {
        String::new()
    } else {
        format!(" (not finished: {} of {})", summary.inputs, report.planned())
    };
    format!(
        "{} inputs of {}{unfinished}: {} bracketed, {} undecided, {} alarms, {} failed",
        summary.inputs,
        shortened(&report.run.identity.data),
        summary.bracketed,
        summary.undecided,
        summary.alarms,
        summary.failed
    )
}

/// Longest name of data in the heading.
const LONGEST_NAME: usize = 60;

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        name.to_owned()
    } else {
        name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
    }
}

/// The first drawing large on the left, the others in two columns beside it; (SVG, width, height).
fn sheet(heading: &str, figures: &[Figure]) -> (String, u32, u32) {
    let Some((first, panels)) = figures.split_first() else { return (String::new(), 0, 0) };
    let top = GAP + HEADING_HEIGHT;
    let mut body =
        format!("<g transform=\"translate({GAP} {top}) scale({})\">{}</g>", f64::from(LARGE_TENTHS) / 10.0, first.body);
    // A drawing is a few hundred units wide.
    let large = |length: u32| length * LARGE_TENTHS / 10;
    let (left, mut right, mut bottom) = (2 * GAP + large(first.width), 0, top + large(first.height));
    let mut y = top;
    for row in panels.chunks(2) {
        let mut x = left;
        for figure in row {
            let _ = write!(body, "<g transform=\"translate({x} {y})\">{}</g>", figure.body);
            x += figure.width + GAP;
        }
        right = right.max(x);
        y += row.iter().map(|figure| figure.height).max().unwrap_or(0) + GAP;
    }
    bottom = bottom.max(y);
    let mut title = Svg::default();
    title.rectangle("pp", (0.0, 0.0), f64::from(right), f64::from(bottom));
    title.text((f64::from(GAP), f64::from(GAP) + 14.0), "hd", Anchor::Start, heading);
    let title = title.finish(right, bottom, String::new()).body;
    let style = palette::for_pictures();
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{right}\" height=\"{bottom}\" \
         viewBox=\"0 0 {right} {bottom}\" font-family=\"{FAMILY}\"><style>{style}</style>{title}{body}</svg>"
    );
    (svg, right, bottom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_between_characters() {
        assert_eq!(shortened("digits"), "digits");
        assert_eq!(shortened(&"ä".repeat(61)), "ä".repeat(59) + "…");
    }
}
