use super::super::precise::Precise;
use super::*;

/// Numbers k·2⁻²⁰ of 24 bits, as k and as single-precision numbers.
fn fractions(count: usize, stream: &mut Stream) -> (Vec<i128>, Vec<f32>) {
    let whole: Vec<i32> = (0..count).map(|_| stream.random_range(-(1 << 24) + 1..1 << 24)).collect();
    #[allow(clippy::cast_precision_loss)]
    let single = |k: &i32| *k as f32 / f32::from(1024_u16) / f32::from(1024_u16);
    (whole.iter().map(|&k| i128::from(k)).collect(), whole.iter().map(single).collect())
}

proptest! {
    #![proptest_config(seeded(100))]

    #[test]
    fn values_in_twice_the_precision_are_those_of_whole_numbers(seed: u64) {
        // After layer l every value is a multiple of 2^−20(l + 2), and three layers fit 128 bits.
        let mut stream = Seed(seed).stream("precise");
        let widths = [9, 7, 6, 5];
        let (mut exact, input) = fractions(widths[0], &mut stream);
        let mut found = Precise::exact(&input.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        for l in 0..3 {
            let (from, to) = (widths[l], widths[l + 1]);
            let ((whole, single), (bias, own)) = (fractions(from * to, &mut stream), fractions(to, &mut stream));
            let weight = Matrix { rows: to, columns: from, entries: single.iter().map(|&w| f64::from(w)).collect() };
            let layer = Layer::new(Map::Dense(weight), own.iter().map(|&b| f64::from(b)).collect(), Activation::Relu);
            exact = (0..to).map(|i| {
                let products = (0..from).map(|k| whole[i * from + k] * exact[k]);
                products.sum::<i128>() + (bias[i] << (20 * (l + 1)))
            }).collect();
            found = found.affine(&layer);
            let unit = 0.5f64.powi(20 * (i32::try_from(l).unwrap() + 2));
            for (&(hi, lo), exact) in found.values.iter().zip(&exact) {
                prop_assert!(lo.abs() <= f64::EPSILON / 2.0 * hi.abs());
                #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
                let rest = (exact - (hi / unit) as i128) as f64 * unit;
                prop_assert!((rest - lo).abs() <= found.error * (1.0 + 1e-9), "layer {}: {} {} {}", l, rest, lo, found.error);
            }
            let size = found.values.iter().map(|value| value.0.powi(2)).sum::<f64>().sqrt();
            prop_assert!(found.error <= 1e-26 * (size + 1e4), "{} {}", found.error, size);
            found = found.activated(Activation::Relu);
            exact.iter_mut().for_each(|value| *value = (*value).max(0));
        }
    }

    #[test]
    fn both_evaluations_of_a_network_agree(which in 0..ALL.len(), seed: u64) {
        let mut stream = Seed(seed).stream("agree");
        let layers: Vec<Layer> = [(6, 8), (8, 5)].into_iter().map(|(from, to)| {
            Layer::new(Map::Dense(random(to, from, &mut stream)), (0..to).map(|_| uniform(&mut stream)).collect(), ALL[which])
        }).collect();
        // Weights of a file have 24 bits.
        let layers: Vec<std::sync::Arc<Layer>> = layers.into_iter().map(|layer| {
            #[allow(clippy::cast_possible_truncation)]
            let single = |value: f64| f64::from(value as f32);
            let weight = weight(&layer);
            let weight = Matrix::new(weight.rows, weight.columns, |i, j| single(weight.at(i, j)));
            let bias = (0..weight.rows).map(|i| single(layer.bias(i))).collect();
            std::sync::Arc::new(Layer::new(Map::Dense(weight), bias, ALL[which]))
        }).collect();
        let x: Vec<f64> = (0..6).map(|_| 3.0 * uniform(&mut stream)).collect();
        let network = Network::new(layers);
        let points = super::super::network::Points::exact(Matrix { rows: 1, columns: 6, entries: x.clone() });
        let found = network.forward(points);
        let precise = network.layers.iter().fold(Precise::exact(&x), |values, layer| values.affine(layer).activated(ALL[which]));
        let (values, error) = precise.rounded();
        let apart = values.iter().zip(found.values.row(0)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        prop_assert!(apart <= error + found.errors[0] && error <= found.errors[0] && error < 1e-12, "{} {} {}", apart, error, found.errors[0]);
    }
}

#[test]
fn what_is_no_number_stays_none_in_twice_the_precision() {
    let layer = Layer::new(Map::Dense(diagonal(&[1.0, 2.0])), vec![0.0; 2], Activation::Relu);
    let (values, error) = Precise::exact(&[f64::NAN, 1.0]).affine(&layer).activated(Activation::Relu).rounded();
    assert!(values[0].is_nan() && error.is_nan());
    let (values, error) = Precise::exact(&[1e305, 1.0]).affine(&layer).rounded();
    assert!(values[0].is_nan() && error.is_nan());
}
