use super::*;
use crate::audit::InputRecord;
use crate::report::testing::{bracketed, undecided};

/// Records whose numbers are as awkward as they may be.
fn awkward() -> Vec<Vec<InputRecord>> {
    vec![
        vec![],
        vec![InputRecord::empty(0)],
        vec![bracketed(0, 0.0, 0.0)],
        vec![bracketed(0, 0.25, 0.5)],
        vec![bracketed(0, f64::INFINITY, f64::INFINITY), undecided(1), InputRecord::empty(2)],
        vec![bracketed(0, f64::MIN_POSITIVE, 1e300), bracketed(1, 5e-324, 2e-300), bracketed(2, 1.0, 1.0)],
    ]
}

#[test]
fn awkward_numbers_never_reach_a_drawing() {
    for records in awkward() {
        let mut figures = vec![fractions(&records, records.len()), distributions(&records).0];
        figures.extend(margins(&records).into_iter().map(|panel| panel.0));
        for figure in figures {
            let text = figure.inline();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert!(text.contains("input units"), "{text}");
        }
    }
}

#[test]
fn steps_are_drawn_where_they_are() {
    // Frame: 54 to 406 wide; the axis ends at 1.05 · 2 = 2.1, and 1 lies at 54 + 352 / 2.1 = 221.6.
    let figure = fractions(&[bracketed(0, 1.0, 2.0), undecided(1)], 2);
    let certified = figure.body.split("class=\"ce\" d=\"").nth(2).unwrap();
    let path = certified.split('"').next().unwrap();
    let points: Vec<&str> = path.split(['M', 'L']).skip(1).collect();
    assert_eq!(points.len(), 4);
    assert!(
        points[0].starts_with("54 ") && points[1].starts_with("221.6 ") && points[2].starts_with("221.6 "),
        "{path}"
    );
    assert!(points[3].starts_with("406 "), "{path}");
    // Half of the inputs up to 1, then none: the bottom of the frame.
    let height = |point: &str| point.split(' ').nth(1).unwrap().parse::<f64>().unwrap();
    assert_eq!(height(points[2]), f64::from(figure.height) - 48.0);
    assert!(height(points[0]) < height(points[2]));
}

#[test]
fn ten_thousand_inputs_are_thinned_to_what_can_be_seen() {
    let input = |index: usize| {
        let share = (index as f64 * 0.618_033_988_7).fract();
        bracketed(index, 0.1 + share, 0.3 + 1.5 * share)
    };
    let records: Vec<InputRecord> = (0..10_000).map(input).collect();
    assert!(fractions(&records, records.len()).body.len() < 100_000);
    assert!(margins(&records).iter().all(|(figure, _)| figure.body.len() < 100_000));
}

#[test]
fn inputs_that_a_plot_leaves_out_are_counted() {
    let records = [bracketed(0, 0.25, 1.0), bracketed(1, 0.5, f64::INFINITY), undecided(2), InputRecord::empty(3)];
    let (_, text) = distributions(&records);
    assert!(
        text.starts_with("Of 4 inputs, 2 have no finite certified radius above 0 and 3 no finite upper bound"),
        "{text}"
    );
    assert!(margins(&records)[0].1.ends_with("(1 of 4 inputs; 3 without both as finite numbers)"));
}
