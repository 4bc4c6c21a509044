use super::super::kernels::Kernels;
use super::super::map::{runs, Shape};
use super::super::network::Points;
use super::super::windows::{volume, Windows};
use super::*;

/// Windows of every kind: small images, several channels and groups, gaps, padding at all sides and windows beyond the image.
fn random_windows(stream: &mut Stream) -> Windows {
    let mut below = |most: usize| stream.random_range(0..most);
    let groups = 1 + below(2);
    let channels = [groups * (1 + below(3)), groups * (1 + below(3))];
    let mut pair = |most: usize| [1 + below(most), 1 + below(most)];
    let ([height, width], [rows, columns]) = (pair(6), pair(5));
    let (kernel, stride, dilation, padding) = (pair(4), pair(3), pair(2), pair(3).map(|padding| padding - 1));
    let (input, output) = ([channels[0], height, width], [channels[1], rows, columns]);
    Windows { input, output, kernel, stride, dilation, padding, groups }
}

/// Windows of every kind over which a maximum can be taken.
fn possible_maximum(stream: &mut Stream) -> Windows {
    let apart = |w: Windows| Windows { output: [w.input[0], w.output[1], w.output[2]], groups: w.input[0], ..w };
    let mut drawn = std::iter::repeat_with(|| apart(random_windows(stream)));
    drawn.find(|w| w.check().is_ok() && w.check_maximum().is_ok()).unwrap()
}

/// The convolution's matrix by its definition; `weight` is \[output channels, input channels per group, kernel\].
fn matrix(w: &Windows, weight: &[f64]) -> Matrix {
    let ([inputs, height, width], [outputs, rows, columns]) = (w.input, w.output);
    let mut found = Matrix::new(volume(&w.output), volume(&w.input), |_, _| 0.0);
    let (seen, made) = (inputs / w.groups, outputs / w.groups);
    for o in 0..outputs {
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            for i in 0..seen {
                for (ky, kx) in (0..w.kernel[0]).flat_map(|ky| (0..w.kernel[1]).map(move |kx| (ky, kx))) {
                    let at = |q: usize, k: usize, axis: usize| {
                        let place = (q * w.stride[axis] + k * w.dilation[axis]) as i64 - w.padding[axis] as i64;
                        usize::try_from(place).ok()
                    };
                    let (Some(r), Some(c)) = (at(y, ky, 0), at(x, kx, 1)) else { continue };
                    if r < height && c < width {
                        let channel = o / made * seen + i;
                        found.row_mut((o * rows + y) * columns + x)[(channel * height + r) * width + c] =
                            weight[((o * seen + i) * w.kernel[0] + ky) * w.kernel[1] + kx];
                    }
                }
            }
        }
    }
    found
}

fn singles(count: usize, stream: &mut Stream) -> Vec<f64> {
    random_values(count, 1.0, stream).into_iter().map(f64::from).collect()
}

/// A random map that is not dense, and its matrix.
fn random_map(kind: usize, stream: &mut Stream) -> (Map, Matrix) {
    let w = random_windows(stream);
    if kind == 2 {
        let (inputs, outputs) = (1 + stream.random_range(0..9), 1 + stream.random_range(0..12));
        let index: Vec<Option<usize>> =
            (0..outputs).map(|_| stream.random_bool(0.8).then(|| stream.random_range(0..inputs))).collect();
        let full = Matrix::new(outputs, inputs, |i, j| f64::from(u8::from(index[i] == Some(j))));
        return (Map::Gather { inputs, index }, full);
    }
    if kind == 3 {
        let mut total = 0;
        let ends: Vec<usize> = (0..1 + stream.random_range(0..6))
            .map(|_| {
                total += 1 + stream.random_range(0..5);
                total
            })
            .collect();
        let own = |i: usize, k: usize| k < ends[i] && (i == 0 || k >= ends[i - 1]);
        let full = Matrix::new(ends.len(), total, |i, k| f64::from(u8::from(own(i, k))));
        return (Map::Sums { ends }, full);
    }
    let weight = singles(volume(&Shape::kernel_shape(&w, false)), stream);
    let (full, kernels) = (matrix(&w, &weight), Kernels::new(w, &weight));
    if kind == 0 {
        (Map::Convolution(kernels), full)
    } else {
        (Map::Spread(kernels), full.transposed())
    }
}

fn far(a: &Matrix, b: &Matrix) -> f64 {
    assert_eq!((a.rows, a.columns), (b.rows, b.columns));
    a.entries.iter().zip(&b.entries).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_convolution_is_found_by_hand() {
    // Kernel [[1, 2], [3, 4]] over [[1, 2, 3], [4, 5, 6]], stride 2 along the rows, one column of padding on the left.
    let windows = Windows {
        input: [1, 2, 3],
        output: [1, 1, 4],
        kernel: [2, 2],
        stride: [2, 1],
        dilation: [1, 1],
        padding: [0, 1],
        groups: 1,
    };
    let map = Map::Convolution(Kernels::new(windows, &[1.0, 2.0, 3.0, 4.0]));
    let image = Matrix { rows: 1, columns: 6, entries: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
    assert_eq!(map.apply(&image).entries, [18.0, 37.0, 47.0, 21.0]);
    // And back: every value times the kernel, at its window.
    let back = Map::Spread(Kernels::new(windows, &[1.0, 2.0, 3.0, 4.0]));
    let values = Matrix { rows: 1, columns: 4, entries: vec![1.0, 10.0, 100.0, 1000.0] };
    assert_eq!(back.apply(&values).entries, [12.0, 120.0, 1200.0, 34.0, 340.0, 3400.0]);
}

#[test]
fn a_maximum_is_found_by_hand_and_keeps_what_is_no_number() {
    let windows = Windows {
        input: [2, 2, 3],
        output: [2, 1, 2],
        kernel: [2, 2],
        stride: [1, 1],
        dilation: [1, 2],
        padding: [0, 1],
        groups: 2,
    };
    assert_eq!(windows.check_maximum(), Ok(()));
    let map = Map::MaxPool(windows);
    let mut image = Matrix {
        rows: 1,
        columns: 12,
        entries: vec![1.0, -2.0, 3.0, 4.0, -5.0, 6.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0],
    };
    assert_eq!(map.apply(&image).entries, [-2.0, 6.0, -2.0, -1.0]);
    for place in [0, 3, 5] {
        let kept = image.entries[place];
        image.entries[place] = f64::NAN;
        assert!(map.apply(&image).entries[1].is_nan() && !map.apply(&image).entries[2].is_nan());
        image.entries[place] = kept;
    }
}

proptest! {
    #![proptest_config(seeded(300))]

    #[test]
    fn maps_are_the_matrices_of_their_definitions(kind in 0..4usize, images in 1..4usize, seed: u64) {
        let mut stream = Seed(seed).stream("maps");
        let (map, full) = random_map(kind, &mut stream);
        prop_assert_eq!((map.outputs(), map.inputs()), (full.rows, full.columns));
        prop_assert_eq!(&map.rows(&(0..full.rows).collect::<Vec<_>>()), &full);
        let (x, y) = (random(images, full.columns, &mut stream), random(images, full.rows, &mut stream));
        prop_assert!(far(&map.apply(&x), &product(&x, &full)) < 1e-13);
        prop_assert!(far(&map.pulled(&y), &product(&y, &full.transposed())) < 1e-13);
    }

    #[test]
    fn norms_and_dominating_diagonals_of_maps_are_bounds(kind in 0..4usize, seed: u64) {
        let mut stream = Seed(seed).stream("norms");
        let (map, full) = random_map(kind, &mut stream);
        let (spectral, absolute) = map.norms();
        let positive = Matrix { entries: full.entries.iter().map(|w| w.abs()).collect(), ..full.clone() };
        let exact = spectral_norm(&positive, 4096) * (1.0 - 1e-9);
        // A map that sees nothing has a bound next to 0.
        prop_assert!(spectral >= spectral_norm(&full, 4096) * (1.0 - 1e-9) - 1e-100 && absolute >= exact - 1e-100);
        // Never worse than the root of the largest row sum times the largest column sum.
        let sums = |m: &Matrix| (0..m.rows).map(|i| m.row(i).iter().sum::<f64>()).fold(0.0, f64::max);
        prop_assert!(absolute <= (sums(&positive) * sums(&positive.transposed())).sqrt() * (1.0 + 1e-12) + 1e-150);
        let d: Vec<f64> = (0..full.columns).map(|_| if stream.random() { uniform(&mut stream).abs() } else { 0.0 }).collect();
        let bound = map.dominated(&d);
        let squares = map.squares(&d);
        for _ in 0..30 {
            let y: Vec<f64> = (0..full.rows).map(|_| uniform(&mut stream)).collect();
            let pulled = (0..full.columns).map(|k| (0..full.rows).map(|i| y[i] * full.at(i, k)).sum::<f64>());
            let least: f64 = pulled.zip(&d).map(|(pulled, d)| pulled * pulled * d).sum();
            let most: f64 = bound.iter().zip(&y).map(|(bound, y)| bound * y * y).sum();
            prop_assert!(least <= most * (1.0 + 1e-12));
        }
        for (i, square) in squares.iter().enumerate() {
            let exact: f64 = full.row(i).iter().zip(&d).map(|(w, d)| w * w * d).sum();
            prop_assert!(*square >= exact && *square <= exact * (1.0 + 1e-12) && *square <= bound[i] * (1.0 + 1e-12));
        }
    }

    #[test]
    fn the_error_of_a_layer_is_bounded(kind in 0..4usize, seed: u64) {
        let mut stream = Seed(seed).stream("error");
        let (map, full) = random_map(kind, &mut stream);
        let channels = match &map {
            Map::Convolution(kernels) => kernels.windows.output[0],
            Map::Spread(kernels) => kernels.windows.input[0],
            _ => 0,
        };
        let bias = singles(channels, &mut stream);
        let layer = Layer::new(map, bias.clone(), Activation::Identity);
        let x: Vec<f64> = (0..full.columns).map(|_| uniform(&mut stream) * 10f64.powi(stream.random_range(-3..4))).collect();
        let points = |x: &[f64], error| Points { values: Matrix { rows: 1, columns: x.len(), entries: x.to_vec() }, errors: vec![error] };
        let found = layer.affine(&points(&x, 0.0));
        let exact: Vec<f64> = (0..full.rows).map(|i| {
            let own = if bias.is_empty() { 0.0 } else { bias[i / (full.rows / bias.len())] };
            compensated(full.row(i), &x, own)
        }).collect();
        let off = found.values.row(0).iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        let size = x.iter().map(|x| x * x).sum::<f64>().sqrt() + 1.0;
        prop_assert!(off <= found.errors[0] + 1e-17 * size, "{} {}", off, found.errors[0]);
        prop_assert!(found.errors[0] <= 1e-13 * size * full.norm().max(1.0) * 10.0);
        // An error that is carried over.
        let moved: Vec<f64> = x.iter().map(|x| x + 0.01 * uniform(&mut stream)).collect();
        let distance = moved.iter().zip(&x).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        let (here, there) = (layer.affine(&points(&x, distance)), layer.affine(&points(&moved, 0.0)));
        let apart = here.values.row(0).iter().zip(there.values.row(0)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        prop_assert!(apart <= here.errors[0] * (1.0 + 1e-12));
        let pulled = layer.pulled(&points(&vec![1.0; full.rows], 0.0));
        let exact: Vec<f64> = (0..full.columns).map(|k| compensated(full.transposed().row(k), &vec![1.0; full.rows], 0.0)).collect();
        let off = pulled.values.row(0).iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        prop_assert!(off <= pulled.errors[0] + 1e-17 && pulled.errors[0] < 1e-11);
    }

    #[test]
    fn what_windows_see_has_their_maxima(seed: u64) {
        let mut stream = Seed(seed).stream("windows");
        let w = possible_maximum(&mut stream);
        let image = random(1, volume(&w.input), &mut stream);
        let (places, ends) = w.laid_out();
        prop_assert_eq!(places.len(), w.seen());
        let maxima: Vec<f64> = runs(&ends).map(|range| {
            places[range].iter().map(|&place| image.at(0, place)).fold(f64::NEG_INFINITY, f64::max)
        }).collect();
        prop_assert_eq!(maxima, Map::MaxPool(w).apply(&image).entries);
        // Each window sees a place once, and no window leaves its channel.
        let channel = |place: usize| place / (w.input[1] * w.input[2]);
        for (window, range) in runs(&ends).enumerate() {
            let seen = &places[range];
            prop_assert!(seen.is_sorted_by(|a, b| a < b) && seen.iter().all(|&k| channel(k) == window / w.places()));
        }
    }

    #[test]
    fn no_pair_of_images_is_torn_apart_by_a_maximum_beyond_its_constant(seed: u64) {
        let mut stream = Seed(seed).stream("maximum");
        let w = possible_maximum(&mut stream);
        let map = Map::MaxPool(w);
        let constant = map.norms().0;
        let (a, b) = (random(40, map.inputs(), &mut stream), random(40, map.inputs(), &mut stream));
        let (fa, fb) = (map.apply(&a), map.apply(&b));
        for i in 0..40 {
            let apart = |a: &Matrix, b: &Matrix| a.row(i).iter().zip(b.row(i)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            prop_assert!(apart(&fa, &fb) <= constant * apart(&a, &b));
        }
        // One value above all others reaches as many windows as see it.
        let most = (0..map.inputs()).map(|k| {
            let peak = Matrix::new(1, map.inputs(), |_, j| if j == k { 1.0 } else { -1.0 });
            map.apply(&peak).entries.iter().filter(|value| **value > 0.0).count()
        }).max().unwrap();
        prop_assert!((constant / (most as f64).sqrt() - 1.0).abs() < 1e-12);
    }
}

/// Σ w x + b in about twice the precision.
fn compensated(w: &[f64], x: &[f64], b: f64) -> f64 {
    let (mut sum, mut rest) = (b, 0.0);
    for (w, x) in w.iter().zip(x) {
        let product = w * x;
        let low = w.mul_add(*x, -product);
        let next = sum + product;
        let back = next - sum;
        rest += (sum - (next - back)) + (product - back) + low;
        sum = next;
    }
    sum + rest
}
