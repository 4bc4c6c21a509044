use super::*;

#[test]
fn values_of_activations_are_found_by_hand_and_no_number_stays_none() {
    let elu = Activation::Elu { alpha: 1.5 };
    assert_eq!((elu.value(2.0), elu.value(0.0)), (2.0, 0.0));
    assert!((elu.value(-1.0) - 1.5 * (1.0_f64.exp().recip() - 1.0)).abs() < 1e-15);
    let clip = Activation::Clip { low: -0.5, high: 2.0 };
    assert_eq!([-3.0, -0.5, 0.25, 2.0, 7.0].map(|a| clip.value(a)), [-0.5, -0.5, 0.25, 2.0, 2.0]);
    assert_eq!((elu.steepest(), clip.steepest(), Activation::Elu { alpha: 0.5 }.steepest()), (1.5, 1.0, 1.0));
    assert!(ALL.iter().all(|activation| activation.value(f64::NAN).is_nan()));
}

fn range(slope: Slope) -> (f64, f64) {
    (slope.centre - slope.half_width, slope.centre + slope.half_width)
}

fn close(found: (f64, f64), expected: (f64, f64)) -> bool {
    (found.0 - expected.0).abs() < 1e-13 && (found.1 - expected.1).abs() < 1e-13
}

#[test]
fn the_secants_of_a_clipped_identity_are_found_by_hand() {
    let clip = Activation::Clip { low: -1.0, high: 2.0 };
    let certain = |centre| Slope { centre, half_width: 0.0, largest: centre };
    assert_eq!(slope(clip, 0.5, 1e-12, 1.4), certain(1.0));
    assert_eq!(slope(clip, -2.0, 1e-12, 0.9), certain(0.0));
    assert_eq!(slope(clip, 3.0, 1e-12, 0.9), certain(0.0));
    // From 0.5 within 2: 1.5/2 on both sides. From −2 within 2: half of the way counts; within 8: 3 of 4.
    assert!(close(range(slope(clip, 0.5, 0.0, 2.0)), (0.75, 1.0)));
    assert!(close(range(slope(clip, -2.0, 0.0, 2.0)), (0.0, 0.5)));
    assert!(close(range(slope(clip, -2.0, 0.0, 8.0)), (0.0, 0.75)));
    assert!(close(range(slope(clip, 3.0, 0.0, 8.0)), (0.0, 0.75)));
    assert!(close(range(slope(clip, 2.0, 0.0, 1.0)), (0.0, 1.0)));
}

#[test]
fn the_secants_of_a_steep_elu_are_found_by_hand() {
    let elu = Activation::Elu { alpha: 2.0 };
    assert_eq!(slope(elu, 2.0, 1e-12, 1.9), Slope { centre: 1.0, half_width: 0.0, largest: 1.0 });
    // At 0: up 1, down 2(1 − e^−d)/d, from 2 to 2(1 − 1/e) within 1 and below 1 within 4.
    assert!(close(range(slope(elu, 0.0, 0.0, 1.0)), (1.0, 2.0)));
    assert!(close(range(slope(elu, 0.0, 0.0, 4.0)), (0.5 * (1.0 - (-4.0_f64).exp()), 2.0)));
    // All slopes above 1.
    let (low, high) = range(slope(elu, -0.1, 0.0, 0.05));
    assert!(close(
        (low, high),
        (2.0 * (-0.1f64).exp() * (1.0 - (-0.05f64).exp()) / 0.05, 2.0 * (-0.1f64).exp() * 0.05f64.exp_m1() / 0.05)
    ));
    // From 0.1 the steepest chord is tangent: slope 2e^y = (0.1 + 2(1 − e^y))/(0.1 − y).
    let tangent = |y: f64| 2.0 * y.exp() * (0.1 - y) - 0.1 - 2.0 * (1.0 - y.exp());
    let (mut below, mut above) = (-1.0, -1e-6);
    for _ in 0..100 {
        let y = 0.5 * (below + above);
        if tangent(y) < 0.0 {
            below = y
        } else {
            above = y
        }
    }
    let found = range(slope(elu, 0.1, 0.0, 3.0)).1;
    assert!((found - 2.0 * above.exp()).abs() < 1e-9, "{found} {}", 2.0 * above.exp());
}

proptest! {
    #![proptest_config(seeded(300))]

    #[test]
    fn no_two_points_have_a_secant_outside_its_range(
        which in 0..ALL.len(), anchor in -3.0..3.0f64, near in -3.0..0.5f64, error in -9.0..-0.5f64, seed: u64,
    ) {
        let (reach, error) = (10f64.powf(near), 10f64.powf(error));
        let mut stream = Seed(seed).stream("secants");
        // Anchors around a kink, where ranges change fastest.
        let anchor = if stream.random() { anchor } else { 0.01 * anchor };
        let (low, high) = range(slope(ALL[which], anchor, error, reach));
        for _ in 0..300 {
            let (a, d) = (anchor + error * uniform(&mut stream), reach * uniform(&mut stream));
            let secant = (value(ALL[which], a + d) - value(ALL[which], a)) / d;
            let noise = 1e-15 * (1.0 + a.abs()) / d.abs();
            prop_assert!(low - noise <= secant && secant <= high + noise, "{} at {} by {}: {} {}", secant, a, d, low, high);
        }
    }
}
