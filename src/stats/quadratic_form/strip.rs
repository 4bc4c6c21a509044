//! Bounds of ∫|f| along hyperbolas, from which the errors of the trapezoid rule follow.
//!
//! f is analytic between two confocal hyperbolas v(x) = w[sin(α' + ix) − sin α] on either side of the contour,
//! which has α' = α. With y = cosh x, |1 − κv|² is a convex quadratic in y; its smallest value on a cell bounds the
//! second derivative of ln f there, and with it ln|f| between the ends of the cell.

use super::contour::ROUNDING;
use super::tilt::{Factor, Shift, Tilt};

/// What the hyperbolas of a strip share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hyperbola {
    /// w.
    pub(super) width: f64,
    /// sin α.
    pub(super) sine: f64,
}

/// One hyperbola of a strip, by its angle α'.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    sine: f64,
    cosine: f64,
}

/// Factors with nearby κ taken as one at their mean: Σm·f(κ) ≤ M·f(κ̄) + ½·max f''·Σm(κ − κ̄)² by Taylor's theorem.
///
/// For (1 − κv)^(−m/2), f = −½ ln|1 − κv| and f'' ≤ ½|v/(1 − κv)|². For exp(ηκv²/(1 − κv)), which is
/// exp(ηv/(1 − κv)) but for a factor without κ, η takes the part of m and f'' ≤ 2|v/(1 − κv)|³.
#[derive(Debug, Clone, Copy)]
struct Group {
    /// κ̄, the weighted mean.
    kappa: f64,
    /// M = Σm or Ση.
    weight: f64,
    /// Σ|m|(κ − κ̄)².
    spread: f64,
    /// The κ nearest to 0 and the one farthest from it.
    near: f64,
    far: f64,
}

/// |f| in units of e^{K(c) − ct}, times |c| where the pole counts.
pub(super) struct Modulus<'a> {
    tilt: &'a Tilt,
    groups: Vec<Group>,
    shift_groups: Vec<Group>,
    hyperbola: Hyperbola,
}

/// A point of an edge.
#[derive(Debug, Clone, Copy)]
struct Point {
    cosh: f64,
    sinh: f64,
    /// Re v.
    real: f64,
    /// |v|, which grows with x.
    size: f64,
    /// |dv/dx|, which grows with x.
    speed: f64,
    /// |d²v/dx²|, which grows with x.
    bend: f64,
}

/// A bound of what lies beyond a point of an edge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remainder {
    /// Of the integral of |f| over x.
    pub(super) integral: f64,
    /// Whether the function that bounds |f| decreases, so that sums at equal steps obey the same bound.
    pub(super) decreasing: bool,
}

/// Cells of an edge before its bound counts as infinite.
const MAX_CELLS: usize = 1000;
/// Cells end where what is left is below this share of the integral.
const REST: f64 = 0.1;
/// Cells are so long that their second derivative costs about this much of the logarithm.
const CELL_LOSS: f64 = 0.7;
/// The first and the longest cell.
const FIRST_CELL: f64 = 0.1;
const LONGEST_CELL: f64 = 0.6;
/// κ share a group within this share of their size, down to a tenth of it where they are largest (there v comes
/// close to 1/κ), and up to a thousandth of it for the smallest.
const GROUP_WIDTH: f64 = 0.1;
/// Allows for the rounding of everything here.
const SLACK: f64 = 1.0 + 1e-6;

impl Edge {
    /// `angle` is α', in (0, π/2).
    pub(super) fn new(angle: f64) -> Self {
        Self { sine: angle.sin(), cosine: angle.cos() }
    }
}

impl<'a> Modulus<'a> {
    /// With `pole`, 1/s is part of f; without, f belongs to the density. Up to `alone` different κ are not joined.
    pub(super) fn new(tilt: &'a Tilt, hyperbola: Hyperbola, pole: bool, alone: usize) -> Self {
        let factors = tilt.factors.iter().map(|Factor { kappa, multiplicity }| (*kappa, f64::from(*multiplicity)));
        let mut groups = join(factors, alone);
        if pole {
            // 1/(1 + v/c) is a factor like the others.
            groups.push(Group::single(-1.0 / tilt.c, 2.0));
        }
        let shift_groups = join(tilt.shifts.iter().map(|Shift { kappa, eta }| (*kappa, *eta)), alone);
        Self { tilt, groups, shift_groups, hyperbola }
    }

    /// A bound of ∫|f|dx over the whole edge; infinite where none is found.
    pub(super) fn integral(&self, edge: Edge) -> f64 {
        let (mut x, mut length, mut total) = (0.0, FIRST_CELL, 0.0);
        let mut here = self.point(edge, x);
        let mut level = self.log_modulus(edge, here);
        for _ in 0..MAX_CELLS {
            let next = self.point(edge, x + length);
            let (curvature, spread) = self.cell(edge, here, next);
            let loss = curvature * length * length / 8.0;
            let fitting = length * (CELL_LOSS / loss).sqrt();
            if loss > 3.0 * CELL_LOSS {
                length = fitting;
                continue;
            }
            let next_level = self.log_modulus(edge, next);
            if level.is_nan() || next_level.is_nan() {
                return f64::INFINITY;
            }
            // |dv/dx| ≤ w cosh x, and between two points a function stays below its larger end plus this loss.
            let cell = (level.max(next_level) + loss + spread).exp() * self.hyperbola.width * (next.sinh - here.sinh);
            total += cell;
            x += length;
            length = fitting.min(2.0 * length).min(LONGEST_CELL);
            (here, level) = (next, next_level);
            if cell <= REST * total {
                let rest = self.remainder(edge, x).integral;
                if rest <= REST * total {
                    return 2.0 * SLACK * (total + rest);
                }
            }
        }
        f64::INFINITY
    }

    fn point(&self, edge: Edge, x: f64) -> Point {
        let Hyperbola { width, sine } = self.hyperbola;
        let (grown, shrunk) = (x.exp(), (-x).exp());
        let (cosh, sinh) = (0.5 * (grown + shrunk), 0.5 * (grown - shrunk));
        let real = width * (edge.sine * cosh - sine);
        Point {
            cosh,
            sinh,
            real,
            size: length(real, width * edge.cosine * sinh),
            speed: width * length(edge.cosine, sinh),
            bend: width * length(edge.sine, sinh),
        }
    }

    /// |1 − κv|² at y = `cosh`.
    fn square(&self, edge: Edge, kappa: f64, cosh: f64) -> f64 {
        let Hyperbola { width, sine } = self.hyperbola;
        let real = 1.0 + kappa * width * (sine - edge.sine * cosh);
        let imaginary = kappa * width * edge.cosine;
        real * real + imaginary * imaginary * (cosh * cosh - 1.0)
    }

    /// The smallest |1 − κv|² for y in [`from`, `to`].
    fn smallest_square(&self, edge: Edge, kappa: f64, from: f64, to: f64) -> f64 {
        let vertex = edge.sine * (1.0 / (kappa * self.hyperbola.width) + self.hyperbola.sine);
        self.square(edge, kappa, vertex.max(from).min(to))
    }

    /// ln|f/(dv/dx)| with every group at its mean.
    fn log_modulus(&self, edge: Edge, at: Point) -> f64 {
        let (mut product, mut sum) = (1.0f64, 0.0);
        for group in &self.groups {
            let square = self.square(edge, group.kappa, at.cosh);
            if group.weight <= 1.0 && (1e-100..1e100).contains(&product) && square < 1e100 {
                product *= square;
            } else {
                sum += group.weight * square.ln();
            }
        }
        let squared_real = 2.0 * at.real * at.real - at.size * at.size;
        let mut exponent = 0.5 * self.tilt.variance * squared_real - self.tilt.slope * at.real;
        for Group { kappa, weight: eta, .. } in &self.shift_groups {
            let square = self.square(edge, *kappa, at.cosh);
            exponent += eta * kappa * (squared_real - kappa * at.size * at.size * at.real) / square;
        }
        exponent - 0.25 * (sum + product.ln())
    }

    /// Bounds between two points of an edge: of |d² ln(f/(dv/dx))/dx²| with the groups at their means, and of what
    /// their spread adds to ln|f|.
    fn cell(&self, edge: Edge, from: Point, to: Point) -> (f64, f64) {
        let (bend, speed) = (to.size * to.bend, to.speed * to.speed);
        let mut linear = -self.tilt.slope;
        let (mut curvature, mut spread) = (self.tilt.variance * (speed + bend), 0.0);
        for group in &self.groups {
            let kappa = group.kappa.abs();
            let root = self.smallest_square(edge, group.kappa, from.cosh, to.cosh).sqrt();
            let quotient = kappa / root;
            // The linear part of −½M ln(1 − κv) is taken apart while κv is small: together they nearly cancel.
            if quotient * to.size < 1.0 {
                linear += 0.5 * group.weight * group.kappa;
                curvature += 0.5 * group.weight * kappa * quotient * (bend + speed / root);
            } else {
                curvature += 0.5 * group.weight * quotient * (to.bend + quotient * speed);
            }
            spread += group.cost(root, to.size, 0.25, 2);
        }
        for group in &self.shift_groups {
            let (kappa, eta) = (group.kappa.abs(), group.weight.abs());
            let square = self.smallest_square(edge, group.kappa, from.cosh, to.cosh);
            let root = square.sqrt();
            curvature += eta * kappa * ((2.0 + kappa * to.size) * bend + 2.0 * speed / root) / square;
            spread += group.cost(root, to.size, 1.0, 3);
        }
        (curvature + linear.abs() * to.bend, spread)
    }

    /// A bound of what lies beyond x > 0 on one arm of the edge.
    ///
    /// With Y = cosh x, beyond it |f/(dv/dx)| ≤ |f/(dv/dx)|(Y)·exp(−`rate`·(Re v − Re v(Y))): factors past their
    /// minimum only help, the others change at most as fast as their steepest slope still to come. Where enough
    /// factors grow like a power of y the bound decreases even without a rate.
    pub(super) fn remainder(&self, edge: Edge, x: f64) -> Remainder {
        let at = self.point(edge, x);
        let (mut rate, mut power, mut logarithm) = (0.0, 0.0, self.log_modulus(edge, at));
        for group in &self.groups {
            let (slope, growth) = self.factor_beyond(edge, group, at);
            rate -= 0.5 * group.weight * slope;
            power += 0.5 * group.weight * growth;
            logarithm += group.cost(self.square(edge, group.kappa, at.cosh).sqrt(), at.size, 0.25, 2);
        }
        // The shifts' part of the rate is t − Ση·slope or, the same, (t − Ση) + Ση(1 − slope), of which the second is
        // accurate while the slopes are near 1 and the first once they are 0.
        let normal = self.tilt.variance * self.tilt.c;
        let (mut direct, mut relative) = (self.tilt.t - normal, self.tilt.slope);
        let (mut direct_size, mut relative_size) = (self.tilt.t + normal.abs(), self.tilt.slope.abs());
        for Shift { kappa, eta } in &self.tilt.shifts {
            let (slope, rise) = self.shift_beyond(edge, *kappa, at);
            direct -= eta * slope;
            direct_size += (eta * slope).abs();
            relative += eta - eta * slope;
            relative_size += eta.abs() * (1.0 + slope);
            logarithm += eta / kappa * rise;
        }
        let rounding = (self.tilt.shifts.len() as f64 + 10.0) * ROUNDING;
        direct -= rounding * direct_size;
        relative -= rounding * relative_size + self.tilt.slope_error;
        rate += direct.max(relative);
        for group in &self.shift_groups {
            logarithm += group.cost(self.square(edge, group.kappa, at.cosh).sqrt(), at.size, 1.0, 3);
        }
        let Hyperbola { width, sine } = self.hyperbola;
        // Re(v²)/2 has this slope per Re v, and a smaller one beyond, because α' ≤ π/4 where σ > 0.
        rate -= self.tilt.variance
            * width
            * ((edge.sine * edge.sine - edge.cosine * edge.cosine) * at.cosh / edge.sine - sine);
        let decay = rate * width * edge.sine;
        // dx = dy/sinh x ≤ coth x·dy/y and |dv/dx| ≤ wy.
        let start = logarithm.exp() * width * at.cosh / at.sinh;
        let exponential = if decay > 0.0 { start / decay } else { f64::INFINITY };
        let algebraic = if rate >= 0.0 && power > 1.0 { start * at.cosh / (power - 1.0) } else { f64::INFINITY };
        Remainder {
            integral: SLACK * exponential.min(algebraic),
            decreasing: algebraic < exponential || decay * at.cosh >= 1.0,
        }
    }

    /// Of a group's −ln|1 − κv| beyond Y: the largest slope per Re v, and a p such that |1 − κv| grows at least like
    /// y^p.
    ///
    /// |1 − κv|² = z²[(y − y*)² + ρ²] with z = κw, y* = sin α'·(1/z + sin α), ρ² = cos²α'·((1/z + sin α)² − 1); the
    /// slope in y is u/(u² + ρ²) with u = y* − y. It is largest at u = ρ, so it falls from Y on only where u ≤ ρ there.
    fn factor_beyond(&self, edge: Edge, group: &Group, at: Point) -> (f64, f64) {
        let Hyperbola { width, sine } = self.hyperbola;
        let z = group.near * width;
        let far = edge.sine * (1.0 / z + sine) - at.cosh;
        if z > 0.0 && far > 0.0 {
            let reach = 1.0 / (group.far * width) + sine;
            let spread = edge.cosine * edge.cosine * (reach * reach - 1.0);
            let near = (edge.sine * reach - at.cosh).max(0.0);
            let spread = spread.max(0.0);
            let steepest = 0.5 / spread.sqrt();
            let slope = if far * far > spread { steepest } else { (far / (near * near + spread)).min(steepest) };
            return (slope / (width * edge.sine), 0.0);
        }
        // From |z|y ≥ 8(1 + z sin α) on, d ln|1 − κv|/d ln y ≥ 8/9 for any angles.
        let grows = z.abs() * at.cosh >= 8.0 * (1.0 + z * sine);
        (0.0, if grows { 0.88 } else { 0.0 })
    }

    /// Of Re(v/(1 − κv)) beyond Y: the largest slope per Re v while it rises, or else how far κ·Re(v/(1 − κv)) may
    /// still rise.
    ///
    /// With z = κw, A = 1 + z sin α, p = zy and q = |1 − κv|² the slope is N/(sin α'·q²), N = sin α'·p² − 2Ap +
    /// sin α'·(A² + z²cos²α'). For z > 0 it falls with y as long as N > 0 and p < A/sin α', because α' ≤ π/4 (the
    /// module's tests check this on a grid); past that κ·Re(v/(1 − κv)) stays below −1 or what it is. For z < 0
    /// Re(v/(1 − κv)) rises, and η < 0.
    fn shift_beyond(&self, edge: Edge, kappa: f64, at: Point) -> (f64, f64) {
        let Hyperbola { width, sine } = self.hyperbola;
        let z = kappa * width;
        if z < 0.0 {
            return (0.0, 0.0);
        }
        let (a, p) = (1.0 + z * sine, z * at.cosh);
        let numerator = edge.sine * (p * p + a * a + z * z * edge.cosine * edge.cosine) - 2.0 * a * p;
        if numerator > 0.0 && p < a / edge.sine {
            let steep = edge.sine <= edge.cosine;
            let end = if steep { at.cosh } else { f64::INFINITY };
            let square = self.smallest_square(edge, kappa, at.cosh, end);
            // The numerator's parts nearly cancel.
            let rounding = 8.0 * ROUNDING * (numerator + 4.0 * a * p);
            ((numerator + rounding) / (edge.sine * square * square), 0.0)
        } else {
            (0.0, ((edge.sine * p - a) / self.square(edge, kappa, at.cosh)).max(0.0))
        }
    }
}

impl Group {
    fn single(kappa: f64, weight: f64) -> Self {
        Self { kappa, weight, spread: 0.0, near: kappa, far: kappa }
    }

    fn add(&mut self, kappa: f64, weight: f64) {
        let total = self.weight + weight;
        let mean = self.kappa + (kappa - self.kappa) * (weight / total);
        self.spread += weight.abs() * (kappa - self.kappa) * (kappa - mean);
        (self.kappa, self.weight) = (mean, total);
        if kappa > 0.0 {
            self.far = kappa;
        } else {
            self.near = kappa;
        }
    }

    /// `factor`·spread·max|v/(1 − κv)|^`power` over the group, for |v| ≤ `size` and |1 − κ̄v| ≥ `root`.
    fn cost(&self, root: f64, size: f64, factor: f64, power: i32) -> f64 {
        if self.spread <= 0.0 {
            return 0.0;
        }
        let nearest = root - (self.far - self.near).abs() * size;
        if nearest > 0.0 {
            factor * self.spread * (size / nearest).powi(power)
        } else {
            f64::INFINITY
        }
    }
}

/// Joins weighted κ, given by increasing κ, where there are more than `alone`.
fn join(points: impl ExactSizeIterator<Item = (f64, f64)> + Clone, alone: usize) -> Vec<Group> {
    if points.len() <= alone {
        return points.map(|(kappa, weight)| Group::single(kappa, weight)).collect();
    }
    let (first, last) =
        points.clone().fold((0.0f64, 0.0f64), |(first, last), (kappa, _)| (first.min(kappa), last.max(kappa)));
    let mut groups: Vec<Group> = Vec::new();
    for (kappa, weight) in points {
        let end = if kappa > 0.0 { last } else { first };
        let width = GROUP_WIDTH * (1e-3 * end.abs() + kappa.abs() * (1.0 - 0.9 * kappa / end));
        match groups.last_mut() {
            Some(group) if (group.kappa > 0.0) == (kappa > 0.0) && kappa - group.near.min(group.far) <= width => {
                group.add(kappa, weight);
            }
            _ => groups.push(Group::single(kappa, weight)),
        }
    }
    groups
}

/// √(a² + b²) where neither square leaves the range.
fn length(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::contour::{Geometry, Node};
    use super::super::form::Form;
    use super::super::product::{Factors, LANES};
    use super::super::tilt::Side;
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;

    /// ∫|f|dx over one arm from `from` on, by sums at steps so small that their error is far below the slack allowed; a
    /// lower sum where |f| falls, except from 0 on.
    fn integral(tilt: &Tilt, hyperbola: Hyperbola, angle: f64, pole: bool, from: f64) -> f64 {
        const STEP: f64 = 0.004;
        let Hyperbola { width, sine } = hyperbola;
        let node = |x: f64| {
            let (real, imaginary) = (width * (angle.sin() * x.cosh() - sine), width * angle.cos() * x.sinh());
            let speed = (width * angle.sin() * x.sinh(), width * angle.cos() * x.cosh());
            Node { real, imaginary, size: real.hypot(imaginary), x, speed }
        };
        let factors = Factors::new(tilt);
        let mut sum = 0.0;
        for batch in 0..2000 {
            let x = |lane: usize| from + (batch * LANES + lane) as f64 * STEP;
            let nodes: [Node; LANES] = std::array::from_fn(|lane| node(x(lane)));
            for (lane, (value, _)) in factors.integrand(tilt, &nodes, pole).into_iter().enumerate() {
                let weight = if batch > 0 || lane > 0 {
                    1.0
                } else if from > 0.0 {
                    0.0
                } else {
                    0.5
                };
                sum += weight * STEP * value.0.hypot(value.1);
            }
        }
        sum
    }

    fn any_tilt() -> impl Strategy<Value = Tilt> {
        let eigenvalue = (-3.0..0.0f64, prop::bool::weighted(0.2)).prop_map(|(log, negative)| {
            if negative {
                -(10f64.powf(log))
            } else {
                10f64.powf(log)
            }
        });
        let shift = prop_oneof![2 => Just(0.0), 1 => -3.0..3.0f64];
        let sigma = prop_oneof![3 => Just(0.0), 1 => 0.05..1.0f64];
        (prop::collection::vec((eigenvalue, shift), 2..60), sigma, 0.05..3.0f64).prop_filter_map(
            "a point on the right of 0 inside the support",
            |(pairs, sigma, share)| {
                let (eigenvalues, shifts): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
                let form = Form::new(&eigenvalues, &shifts, sigma)?;
                let t = form.mean().abs().max(0.1 * form.variance().sqrt()) * share;
                let side = if t >= form.mean() { Side::Upper } else { Side::Lower };
                if form.is_nonpositive() {
                    None
                } else {
                    Tilt::new(&form, t, side)
                }
            },
        )
    }

    /// A few large eigenvalues and many small equal ones: there |f| grows by many orders of magnitude along the right
    /// edge after its first minimum.
    fn bulk_tilt() -> impl Strategy<Value = Tilt> {
        (1usize..4, -2.5..-0.3f64, 50usize..1500, 0.3..3.0f64).prop_filter_map(
            "a saddle point",
            |(large, log, small, share)| {
                let mut eigenvalues = vec![1.0; large];
                eigenvalues.extend(vec![10f64.powf(log); small]);
                let form = Form::new(&eigenvalues, &vec![0.0; large + small], 0.0)?;
                let t = form.mean() * share;
                Tilt::new(&form, t, if share >= 1.0 { Side::Upper } else { Side::Lower })
            },
        )
    }

    proptest! {
        #![proptest_config(seeded(60))]

        #[test]
        fn bounds_hold_for_a_few_large_eigenvalues_and_many_small_ones(tilt in bulk_tilt(), share in 0.0..1.0f64, x in 0.2..2.5f64) {
            let geometry = Geometry::new(&tilt);
            let [left, right] = geometry.edges();
            let modulus = Modulus::new(&tilt, geometry.hyperbola, true, 24);
            for angle in [right, left + share * (right - left)] {
                let exact = 2.0 * integral(&tilt, geometry.hyperbola, angle, true, 0.0);
                let bound = modulus.integral(Edge::new(angle));
                prop_assert!(bound >= exact * (1.0 - 1e-6), "{angle}: {bound:e} below {exact:e}");
                let rest = modulus.remainder(Edge::new(angle), x).integral;
                let exact = integral(&tilt, geometry.hyperbola, angle, true, x);
                prop_assert!(rest >= exact * (1.0 - 1e-2), "{angle} beyond {x}: {rest:e} below {exact:e}");
            }
        }

        #[test]
        fn bounds_hold_and_are_not_hopeless(tilt in any_tilt(), pole: bool, share in 0.1..0.95f64, x in 0.3..2.0f64) {
            let geometry = Geometry::new(&tilt);
            let [left, right] = geometry.edges();
            let hyperbola = geometry.hyperbola;
            for alone in [usize::MAX, 24] {
                let modulus = Modulus::new(&tilt, hyperbola, pole, alone);
                for angle in [left, right, left + share * (right - left)] {
                    let exact = 2.0 * integral(&tilt, hyperbola, angle, pole, 0.0);
                    let bound = modulus.integral(Edge::new(angle));
                    prop_assert!(bound >= exact * (1.0 - 1e-6), "{angle}: {bound:e} below {exact:e}");
                    prop_assert!(bound <= 1e4 * exact || alone == 24, "{angle}: {bound:e} far above {exact:e}");
                    let rest = modulus.remainder(Edge::new(angle), x).integral;
                    let exact = integral(&tilt, hyperbola, angle, pole, x);
                    prop_assert!(rest >= exact * (1.0 - 1e-2), "{angle} beyond {x}: {rest:e} below {exact:e}");
                }
            }
        }
    }

    /// The lemma behind `shift_beyond`: N/q² falls with p as long as N > 0, for angles up to π/4.
    #[test]
    fn the_slope_of_a_shift_falls() {
        for z in [1e-6f64, 0.01, 0.3, 1.0, 2.0] {
            for alpha in [0.2f64, 0.5, 0.78] {
                let a = 1.0 + z * alpha.sin();
                if z * (1.0 - alpha.sin()) > 1.0 {
                    continue;
                }
                for angle in [0.01f64, 0.1, 0.3, 0.6, std::f64::consts::FRAC_PI_4] {
                    let (s, c) = angle.sin_cos();
                    let mut last = f64::INFINITY;
                    for i in 0..2000 {
                        let p = z + f64::from(i) * 1e-3 * a / s.max(0.1);
                        let n = s * (p * p + a * a + z * z * c * c) - 2.0 * a * p;
                        let q = p * p - 2.0 * a * s * p + a * a - z * z * c * c;
                        if n <= 0.0 || p >= a / s {
                            break;
                        }
                        assert_falls(&mut last, n / (q * q));
                    }
                }
            }
        }
    }

    fn assert_falls(last: &mut f64, value: f64) {
        assert!(value <= *last * (1.0 + 1e-12), "{value} after {last}");
        *last = value;
    }
}
