//! The upper bound: local searches, their end verified along its direction.

use super::crossing::cross;
use super::evaluator::Evaluator;
use super::margin::along;
use super::model::Whitened;
use crate::bounds::BoundError;
use crate::linalg::VerifiedEigen;
use nalgebra::DVector;

const TOLERANCE: f64 = 1e-8;
const MAX_STEPS: usize = 40;

/// The best perturbation found.
pub(super) struct Incumbent {
    /// Verified length; infinite before anything was found.
    pub(super) upper: f64,
    /// Its unit vector, `[d_x]`.
    pub(super) direction: DVector<f64>,
    /// −∂F/∂w there.
    pub(super) weights: Vec<f64>,
}

/// A point Mᵀx of the boundary (estimates).
struct Point {
    x: DVector<f64>,
    /// u = MMᵀx.
    shifts: DVector<f64>,
    distance: f64,
}

/// Searches with F at the upper ends of λ, which touches the margin by rounding only.
pub(super) struct LocalSearch<'a> {
    pub(super) whitened: &'a Whitened,
    pub(super) level: f64,
    /// A lower bound of F(0).
    pub(super) at_zero: f64,
}

impl LocalSearch<'_> {
    /// Searches from the singular directions of √Λ M, from those of M and from every row of M, until half of the
    /// `budget` is spent.
    pub(super) fn run(&self, evaluator: &mut Evaluator, budget: usize) -> Result<Incumbent, BoundError> {
        let size = self.whitened.high.len();
        let mut starts: Vec<DVector<f64>> = Vec::new();
        for weights in [&self.whitened.high, &vec![1.0; size]] {
            let vectors = VerifiedEigen::new(self.whitened.weighted_gram(weights))?.vectors;
            for column in vectors.column_iter() {
                starts.push(DVector::from_fn(size, |i, _| column[i] * weights[i].sqrt()));
            }
        }
        starts.extend((0..size).map(|i| DVector::from_fn(size, |j, _| if i == j { 1.0 } else { 0.0 })));
        let mut ends: Vec<(Point, Vec<f64>)> = Vec::new();
        for start in &starts {
            ends.extend(self.descend(start.clone(), evaluator)?);
            if !ends.is_empty() && evaluator.evaluations >= budget / 2 {
                break;
            }
        }
        let direction = DVector::zeros(self.whitened.gain.ncols());
        let mut incumbent = Incumbent { upper: f64::INFINITY, direction, weights: vec![1.0; size] };
        ends.sort_by(|a, b| a.0.distance.total_cmp(&b.0.distance));
        for (point, weights) in ends {
            self.accept(&mut incumbent, &point, weights, evaluator)?;
            if incumbent.upper.is_finite() {
                return Ok(incumbent);
            }
        }
        // A latent coordinate that the decoder ignores counts with its rounding in the search, draws it there, and does
        // not hold up; the starts themselves may.
        for start in starts {
            if let Some(point) = self.boundary(start, evaluator)? {
                self.accept(&mut incumbent, &point, vec![1.0; size], evaluator)?;
            }
        }
        Ok(incumbent)
    }

    /// Searches from δ = Mᵀx and replaces the incumbent where that ends shorter.
    pub(super) fn improve(
        &self,
        incumbent: &mut Incumbent,
        x: DVector<f64>,
        evaluator: &mut Evaluator,
    ) -> Result<(), BoundError> {
        match self.descend(x, evaluator)? {
            Some((point, weights)) => self.accept(incumbent, &point, weights, evaluator),
            None => Ok(()),
        }
    }

    /// Minimises the distance to the boundary from δ = Mᵀx on: at a stationary point x ∝ c∘Mδ with c = −∂F/∂w, and
    /// x = √c·(top eigenvector of √c MMᵀ √c) solves the problem linearised in w. Returns the end and its c.
    fn descend(&self, start: DVector<f64>, evaluator: &mut Evaluator) -> Result<Option<(Point, Vec<f64>)>, BoundError> {
        let Some(mut here) = self.boundary(start, evaluator)? else {
            return Ok(None);
        };
        let mut weights = vec![1.0; here.shifts.len()];
        for _ in 0..MAX_STEPS {
            let sizes: Vec<f64> = here.shifts.iter().map(|shift| shift.abs()).collect();
            weights = evaluator.descent(&self.whitened.high, &sizes)?;
            let linearised = self.whitened.distance(&weights)?.1;
            let power = DVector::from_fn(sizes.len(), |i, _| weights[i] * here.shifts[i]);
            let mut moved = false;
            for x in [linearised, power] {
                match self.boundary(x, evaluator)? {
                    Some(next) if next.distance < here.distance * (1.0 - TOLERANCE) => {
                        (here, moved) = (next, true);
                        break;
                    }
                    _ => {}
                }
            }
            if !moved {
                break;
            }
        }
        Ok(Some((here, weights)))
    }

    /// Where the ray through δ = Mᵀx reaches the boundary; `None` where it hardly moves the output.
    fn boundary(&self, x: DVector<f64>, evaluator: &mut Evaluator) -> Result<Option<Point>, BoundError> {
        let shifts = &self.whitened.gram * &x;
        let norm = x.dot(&shifts).max(0.0).sqrt();
        let high = &self.whitened.high;
        let speed = shifts.iter().zip(high).map(|(shift, value)| shift * shift * value).sum::<f64>().sqrt();
        let largest = high.iter().copied().fold(0.0, f64::max);
        if !(norm > 0.0 && speed > 1e-12 * norm * (largest * self.whitened.gram.trace()).sqrt()) {
            return Ok(None);
        }
        let at_zero = (self.at_zero, 1.0);
        let found = cross(self.level, at_zero, 1.0 / speed, f64::MAX, TOLERANCE, |scale| {
            evaluator.enclose(high, &shifts.iter().map(|shift| scale * shift.abs()).collect::<Vec<_>>())
        })?;
        let scale = found.outside;
        Ok(scale.is_finite().then(|| Point { x, shifts: shifts * scale, distance: scale * norm }))
    }

    /// Verifies a search's end along its direction and keeps it where it is shorter.
    fn accept(
        &self,
        incumbent: &mut Incumbent,
        point: &Point,
        weights: Vec<f64>,
        evaluator: &mut Evaluator,
    ) -> Result<(), BoundError> {
        let direction = self.whitened.gain.tr_mul(&point.x);
        if point.distance >= incumbent.upper || direction.amax() <= 0.0 {
            return Ok(());
        }
        let (_, upper) = along(self.whitened, &direction, self.level, evaluator)?;
        if upper < incumbent.upper {
            let direction = (&direction / direction.amax()).normalize();
            *incumbent = Incumbent { upper, direction, weights };
        }
        Ok(())
    }
}
