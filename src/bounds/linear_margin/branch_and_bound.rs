//! The lower bound: branch and bound over cones of energies.
//!
//! # Coordinates
//! With M = ṼᵀS⁻¹A (see [`Whitened`]) and u = Mδ, F(Λ̂ + ε, u) ≤ P(δ). F depends on u
//! through w_i = u_i² only and falls in each (Anderson, 1955). What is bounded is min{‖δ‖ : F ≤ m} ≤ R.
//!
//! # From weights to a distance
//! If every w with F ≤ m satisfies c·w ≥ 1 for some c ≥ 0, every failing δ has 1 ≤ δᵀMᵀdiag(c)Mδ, hence
//! ‖δ‖² ≥ 1/λ_max(√c MMᵀ √c). (This relaxes δδᵀ to a positive semidefinite matrix. Where {F ≥ m} is convex in w it
//! gives nothing away: then it contains, with all (Mδ)² of ‖δ‖ ≤ R, their convex hull.)
//!
//! # Weights for all directions
//! ∂F/∂w_i = ½(P(Q + λ_iχ²₂ ≤ 1) − P(Q ≤ 1)) is the more negative the larger λ_i, so moving all of Σw to the
//! largest λ only lowers F: c = 1/w* with w* kept on that axis.
//!
//! # Weights for a cone
//! The orthant of energies ρ_i = λ_iw_i is cut into simplicial cones. On each, take vertices v_j on its edges with
//! F(v_j) ≥ m + e, where e bounds what F may fall below the interpolation between them: for ρ̄ = Σα_jv_j, Taylor
//! about ρ̄ on the segments to the v_j gives with the form H of [`Curvature`]
//!
//! Σα_jF(v_j) − F(ρ̄) ≤ ½ Σα_j(v_j − ρ̄)ᵀH(v_j − ρ̄) ≤ ½·(radius of a ball in the norm of H that holds all v_j)².
//!
//! So F ≥ m on the simplex, by monotony on all of the cone before it, and failing ρ = Σβ_jv_j have Σβ_j ≥ 1. Any
//! c ≥ 0 with c·v_j ≥ 1 for all j then has c·ρ ≥ 1 there. Halving an edge divides its share in e by four.
//!
//! # Coordinates at rest
//! Perturbations no longer than the upper bound have ρ_i ≤ λ_i(‖M_i‖·upper)². Where that is negligible, ρ_i is set to
//! it, which only lowers F, and the cones are those of the other coordinates.
//!
//! # Rounding of the cuts
//! A cut's middle ray lies between its edge's ends up to 4 relative roundings in each coordinate. So every ρ has a ρ′
//! in some leaf of depth D with ρ′_i = ρ_i(1 ± 4Du), u = 2⁻⁵³. If ρ fails, so does (1 + 4Du)ρ′ ≥ ρ, hence
//! c·ρ ≥ 1 − 10Du: [`CUT_ROUNDING`] covers it for the depths that [`MAX_CUTS`] allows.

use super::crossing::{cross, Crossing};
use super::curvature::{Curvature, Edges};
use super::evaluator::Evaluator;
use super::local_search::{Incumbent, LocalSearch};
use super::model::Whitened;
use crate::bounds::BoundError;
use nalgebra::{DMatrix, DVector};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// Coordinates rest while their energies together are at most this share of the tolerance times the energy at the
/// upper bound; the margin moves by about half of that.
const RESTING_SHARE: f64 = 0.1;
/// Where a ray without a crossing ends.
const FARTHEST: f64 = 1e100;
/// Relative width of the bracket along a ray, as a share of the tolerance of the margin.
const RAY_SHARE: f64 = 0.02;
/// Cuts after which the search ends whatever its budget.
const MAX_CUTS: usize = 80_000;
const CUT_ROUNDING: f64 = 1e-10;
const DROP_STEPS: usize = 8;
const SUBGRADIENT_STEPS: usize = 20;
const PROJECTIONS: usize = 3;

/// A ray of energies: `direction`·s², with the level's crossing in s.
struct Ray {
    direction: Vec<f64>,
    crossing: Crossing,
}

impl Ray {
    /// Its farthest kept energies.
    fn end(&self) -> Vec<f64> {
        let scale = self.crossing.inside();
        self.direction.iter().map(|rho| rho * (scale * scale)).collect()
    }
}

/// A simplicial cone of energies with what is known of it.
struct Cone {
    /// Indices of its edges' rays.
    rays: Vec<usize>,
    /// No failing perturbation whose energies lie in the cone is shorter.
    lower: f64,
    /// Its longest edge, as positions in `rays`.
    longest: (usize, usize),
    /// The weights that gave `lower`.
    weights: Vec<f64>,
}

/// Ordered so that the smallest bound comes out of the heap first.
struct Queued(Cone);

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.lower.total_cmp(&self.0.lower)
    }
}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Queued {}

/// The search for the lower bound.
pub(super) struct BranchAndBound<'a> {
    local: &'a LocalSearch<'a>,
    evaluator: &'a mut Evaluator,
    incumbent: &'a mut Incumbent,
    tolerance: f64,
    /// The coordinates that span the cones. Energies and weights of cones have one entry for each.
    active: Vec<usize>,
    /// Their λ.
    values: Vec<f64>,
    /// Shifts of the coordinates at rest, 0 for the others.
    resting: Vec<f64>,
    /// A lower bound of F with every active shift 0.
    at_zero: f64,
    curvature: Curvature,
    rays: Vec<Ray>,
    /// The ray that bisects an edge.
    between: HashMap<(usize, usize), usize>,
}

impl<'a> BranchAndBound<'a> {
    /// Better perturbations met on the way replace the `incumbent`. F(0) has to be above the level for certain.
    pub(super) fn new(
        local: &'a LocalSearch<'a>,
        evaluator: &'a mut Evaluator,
        incumbent: &'a mut Incumbent,
        tolerance: f64,
    ) -> Result<Self, BoundError> {
        let high = &local.whitened.high;
        let mut resting = resting_shifts(local.whitened, incumbent, tolerance);
        let mut at_zero = evaluator.enclose(high, &resting)?.0;
        if at_zero <= local.level {
            (resting, at_zero) = (vec![0.0; high.len()], local.at_zero);
        }
        let active: Vec<usize> = (0..high.len()).filter(|&i| resting[i] <= 0.0).collect();
        let values: Vec<f64> = active.iter().map(|&i| high[i]).collect();
        // The characteristic function's factors of the coordinates at rest are at most 1.
        let curvature = Curvature::new(&values);
        let (rays, between) = (Vec::new(), HashMap::new());
        Ok(Self { local, evaluator, incumbent, tolerance, active, values, resting, at_zero, curvature, rays, between })
    }

    fn whitened(&self) -> &'a Whitened {
        self.local.whitened
    }

    /// [`Whitened::distance`] for weights of the active coordinates.
    fn distance(&self, weights: &[f64]) -> Result<(f64, DVector<f64>), BoundError> {
        let mut all = vec![0.0; self.resting.len()];
        self.active.iter().zip(weights).for_each(|(&i, &weight)| all[i] = weight);
        self.whitened().distance(&all)
    }

    /// The active entries of one value per coordinate.
    fn active_of(&self, all: &[f64]) -> Vec<f64> {
        self.active.iter().map(|&i| all[i]).collect()
    }

    /// A lower bound of the margin: within the tolerance of the incumbent's length, or the best after `budget`
    /// calls.
    pub(super) fn lower_bound(&mut self, budget: usize) -> Result<f64, BoundError> {
        let size = self.active.len();
        let axes = (0..size)
            .map(|axis| self.ray((0..size).map(|i| if i == axis { 1.0 } else { 0.0 }).collect()))
            .collect::<Result<Vec<_>, _>>()?;
        let everywhere = self.everywhere(&axes)?;
        let mut open =
            BinaryHeap::from([Queued(self.cone(axes, everywhere, &self.active_of(&self.incumbent.weights))?)]);
        let mut settled = f64::INFINITY;
        let mut cuts = 0usize;
        while let Some(Queued(cone)) = open.pop() {
            let enough = (1.0 - self.tolerance) * self.incumbent.upper;
            if cone.lower >= enough || cone.longest.0 == cone.longest.1 || self.incumbent.upper.is_infinite() {
                settled = settled.min(cone.lower);
                if cone.lower >= enough {
                    break;
                }
                continue;
            }
            if self.evaluator.evaluations >= budget || cuts >= MAX_CUTS.min(budget) {
                settled = settled.min(cone.lower);
                break;
            }
            cuts += 1;
            if cuts.is_power_of_two() {
                let x = self.distance(&cone.weights)?.1;
                self.local.improve(self.incumbent, x, self.evaluator)?;
            }
            for part in self.split(&cone)? {
                let lower = cone.lower;
                open.push(Queued(self.cone(part, lower, &cone.weights)?));
            }
        }
        Ok((settled * (1.0 - CUT_ROUNDING)).min(self.incumbent.upper))
    }

    /// The bound that holds in every direction, from the axis of the largest λ.
    fn everywhere(&self, axes: &[usize]) -> Result<f64, BoundError> {
        let values = &self.values;
        let top = (0..values.len()).fold(0, |top, i| if values[i] > values[top] { i } else { top });
        let kept = self.rays[axes[top]].crossing.inside().powi(2) / values[top] * (1.0 - 1e-14);
        Ok(if kept > 0.0 { self.distance(&vec![1.0 / kept; values.len()])?.0 } else { 0.0 })
    }

    /// Encloses the level along a ray of energies and returns the ray's index.
    fn ray(&mut self, direction: Vec<f64>) -> Result<usize, BoundError> {
        let high = &self.local.whitened.high;
        let (active, values) = (&self.active, &self.values);
        // Rounded up, so that F here is not above F at the energies direction·s².
        let shifts: Vec<f64> =
            direction.iter().zip(values).map(|(rho, value)| (rho / value).sqrt() * (1.0 + 1e-15)).collect();
        let (mut all, evaluator) = (self.resting.clone(), &mut self.evaluator);
        let tolerance = RAY_SHARE * self.tolerance;
        let crossing = cross(self.local.level, (self.at_zero, 1.0), 1.0, FARTHEST, tolerance, |scale| {
            active.iter().zip(&shifts).for_each(|(&i, shift)| all[i] = scale * shift);
            evaluator.enclose(high, &all)
        })?;
        self.rays.push(Ray { direction, crossing });
        Ok(self.rays.len() - 1)
    }

    /// The two halves of a cone, cut through the middle of its longest edge.
    fn split(&mut self, cone: &Cone) -> Result<[Vec<usize>; 2], BoundError> {
        let (a, b) = cone.longest;
        let edge = (cone.rays[a].min(cone.rays[b]), cone.rays[a].max(cone.rays[b]));
        let middle = match self.between.get(&edge) {
            Some(&ray) => ray,
            None => {
                let (one, other) = (self.rays[edge.0].end(), self.rays[edge.1].end());
                let direction = one.iter().zip(&other).map(|(one, other)| 0.5 * (one + other)).collect();
                let ray = self.ray(direction)?;
                self.between.insert(edge, ray);
                ray
            }
        };
        let with = |position: usize| {
            let mut rays = cone.rays.clone();
            rays[position] = middle;
            rays
        };
        Ok([with(a), with(b)])
    }

    /// Bounds a cone; `known` is a bound that holds there already.
    fn cone(&self, rays: Vec<usize>, known: f64, inherited: &[f64]) -> Result<Cone, BoundError> {
        let mut cone = Cone { rays, lower: known, longest: (0, 0), weights: inherited.to_vec() };
        if let Some((vertices, edges)) = self.simplex(&cone.rays, 0.0) {
            cone.longest = edges.longest();
            if let Some(vertices) = self.kept_simplex(&cone.rays, vertices, &edges) {
                let (lower, weights) = self.best_distance(&vertices, inherited)?;
                (cone.lower, cone.weights) = (lower.max(known), weights);
            }
        }
        Ok(cone)
    }

    /// The vertices of a simplex on which F ≥ m: those with F ≥ m + e, for an e that covers what F may fall below the
    /// interpolation on that simplex. Small e are tried first, from the one that the simplex of the boundary's
    /// `vertices` needs. `None` where none was found.
    fn kept_simplex(&self, rays: &[usize], vertices: DMatrix<f64>, edges: &Edges) -> Option<DMatrix<f64>> {
        let room = self.at_zero - self.local.level;
        let mut drop = edges.greatest_drop();
        if drop <= 0.0 {
            return Some(vertices);
        }
        let (mut too_small, mut found) = (0.0, None);
        for _ in 0..DROP_STEPS {
            if drop >= room {
                drop = 0.5 * (too_small + room);
            }
            let (vertices, edges) = self.simplex(rays, drop)?;
            let needed = edges.greatest_drop();
            if needed <= drop {
                found = Some(vertices);
                let smaller = (0.5 * (drop + needed)).max(0.5 * (too_small + drop));
                if drop - smaller <= 0.05 * drop {
                    break;
                }
                drop = smaller;
            } else if found.is_some() {
                break;
            } else {
                too_small = drop;
                drop = 0.5 * (drop + room);
            }
        }
        found
    }

    /// The simplex with F ≥ m + `drop` at its vertices, with its edges.
    fn simplex(&self, rays: &[usize], drop: f64) -> Option<(DMatrix<f64>, Edges)> {
        let vertices = self.vertices(rays, (self.local.level + drop) * (1.0 + 4.0 * f64::EPSILON))?;
        let edges = self.curvature.edges(&vertices);
        Some((vertices, edges))
    }

    /// The vertices with F ≥ `level` on the rays.
    fn vertices(&self, rays: &[usize], level: f64) -> Option<DMatrix<f64>> {
        let mut vertices = DMatrix::zeros(rays.len(), rays.len());
        for (column, &ray) in rays.iter().enumerate() {
            let Ray { direction, crossing } = &self.rays[ray];
            let scale = crossing.reach(level)?;
            if scale <= 0.0 {
                return None;
            }
            for (i, rho) in direction.iter().enumerate() {
                vertices[(i, column)] = rho * (scale * scale);
            }
        }
        Some(vertices)
    }

    /// The best distance found over weights c ≥ 0 with c·v_j ≥ 1 for the `vertices` v_j (energies), with those
    /// weights for w. Starts from the weights `inherited`, those of the local search, 1/‖M_i‖² (best for orthogonal
    /// rows M_i) and the simplex's normal; goes on by subgradients until the cone needs no further attention.
    fn best_distance(&self, vertices: &DMatrix<f64>, inherited: &[f64]) -> Result<(f64, Vec<f64>), BoundError> {
        let sizes = self.active_of(&self.whitened().row_sizes);
        let enough = (1.0 - self.tolerance) * self.incumbent.upper;
        let searched = self.active_of(&self.incumbent.weights);
        let rows = sizes.iter().map(|size| 1.0 / size).collect();
        let mut best = (0.0, inherited.to_vec());
        for weights in [inherited.to_vec(), searched, rows].into_iter().chain(self.normal(vertices)) {
            let Some(weights) = self.admissible(weights, vertices) else { continue };
            let distance = self.distance(&weights)?.0;
            if distance > best.0 {
                best = (distance, weights);
            }
            if distance >= enough {
                return Ok(best);
            }
        }
        let relative =
            DMatrix::from_fn(sizes.len(), vertices.ncols(), |i, j| vertices[(i, j)] / self.values[i] / sizes[i]);
        let mut weights = best.1.clone();
        for _ in 0..SUBGRADIENT_STEPS {
            let (distance, x) = self.distance(&weights)?;
            if distance > best.0 {
                best = (distance, weights.clone());
            }
            if distance >= enough || !enough.is_finite() {
                break;
            }
            let stepped = self.subgradient_step(&weights, &x, enough, &sizes, &relative);
            match self.admissible(stepped, vertices) {
                Some(next) => weights = next,
                None => break,
            }
        }
        Ok(best)
    }

    /// The weights for w with c·v = 1 at every vertex, where they can be solved for.
    fn normal(&self, vertices: &DMatrix<f64>) -> Option<Vec<f64>> {
        let scales: Vec<f64> = vertices.row_iter().map(|row| row.max()).collect();
        let scaled = DMatrix::from_fn(vertices.nrows(), vertices.ncols(), |i, j| vertices[(i, j)] / scales[i]);
        let normal = scaled.transpose().lu().solve(&DVector::from_element(vertices.ncols(), 1.0))?;
        Some(normal.iter().zip(&self.values).zip(&scales).map(|((c, value), scale)| c * value / scale).collect())
    }

    /// One Polyak step of the `weights` that aims at the distance `enough`, given the x that attains the present
    /// distance, then projections back to c·v_j ≥ 1. Works on c_i·`sizes`_i and on `vertices` as w_i/`sizes`_i.
    fn subgradient_step(
        &self,
        weights: &[f64],
        x: &DVector<f64>,
        enough: f64,
        sizes: &[f64],
        vertices: &DMatrix<f64>,
    ) -> Vec<f64> {
        let mut c = DVector::from_fn(weights.len(), |i, _| weights[i] * sizes[i]);
        let shifts = &self.whitened().gram * x;
        let norm_squared = x.dot(&shifts);
        let w = DVector::from_fn(c.len(), |i, _| shifts[self.active[i]].powi(2) / sizes[i] / norm_squared);
        let excess = c.dot(&w) - 1.0 / (enough * enough);
        c -= &w * (excess / w.norm_squared());
        for _ in 0..PROJECTIONS {
            for vertex in vertices.column_iter() {
                let missing = 1.0 - c.dot(&vertex);
                if missing > 0.0 {
                    c += vertex * (missing / vertex.norm_squared());
                }
            }
            c.iter_mut().for_each(|c| *c = c.max(0.0));
        }
        c.iter().zip(sizes).map(|(c, size)| c / size).collect()
    }

    /// `weights` for w, cut off at 0 and scaled so that they are at least 1 at every vertex (an energy).
    fn admissible(&self, mut weights: Vec<f64>, vertices: &DMatrix<f64>) -> Option<Vec<f64>> {
        weights.iter_mut().for_each(|weight| *weight = weight.max(0.0));
        let per_energy: Vec<f64> = weights.iter().zip(&self.values).map(|(c, value)| c / value).collect();
        let least = vertices
            .column_iter()
            .map(|vertex| vertex.iter().zip(&per_energy).map(|(rho, c)| rho * c).sum::<f64>())
            .fold(f64::INFINITY, f64::min);
        let usable = least.is_finite() && least > 0.0 && weights.iter().all(|weight| weight.is_finite());
        // 1e-13 covers the sum's rounding: all terms are positive.
        usable.then(|| weights.iter().map(|weight| weight / least * (1.0 + 1e-13)).collect())
    }
}

/// For every coordinate a bound of |u_i| over all perturbations no longer than the upper bound, where the energies
/// that this allows are negligible, and 0 where they are not. The coordinate that counts most is never at rest.
fn resting_shifts(whitened: &Whitened, incumbent: &Incumbent, tolerance: f64) -> Vec<f64> {
    let high = &whitened.high;
    let mut resting = vec![0.0; high.len()];
    if incumbent.upper.is_infinite() {
        return resting;
    }
    let there = &whitened.gain * &incumbent.direction * incumbent.upper;
    let energy: f64 = there.iter().zip(high).map(|(shift, value)| shift * shift * value).sum();
    let bounds: Vec<f64> = (0..high.len()).map(|i| whitened.row_norm(i) * incumbent.upper * (1.0 + 1e-14)).collect();
    let energies: Vec<f64> = bounds.iter().zip(high).map(|(shift, value)| shift * shift * value).collect();
    let mut order: Vec<usize> = (0..high.len()).collect();
    order.sort_by(|&i, &j| energies[i].total_cmp(&energies[j]));
    order.pop();
    let mut total = 0.0;
    for i in order {
        total += energies[i];
        if total > RESTING_SHARE * tolerance * energy {
            break;
        }
        resting[i] = bounds[i].max(f64::MIN_POSITIVE);
    }
    resting
}
