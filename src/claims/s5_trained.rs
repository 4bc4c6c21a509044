//! S5-trained: whether the program's own trainer reaches the closed form of the optimal linear β-VAE.

use std::num::NonZeroUsize;

use candle_core::{DType, Device, Tensor};
use nalgebra::DMatrix;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, less, show, Experiment, Finding, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::vector;
use super::truth::optimum::{data_variances, optimum};
use crate::data::{gaussian, Dataset, Split};
use crate::linalg::eigenvalue_enclosures;
use crate::model::architecture::Likelihood;
use crate::model::train::{Trainer, TrainingPlan};
use crate::model::{Architecture, Vae};
use crate::stats::Enclosure;
use crate::threads::Workers;

/// Eigenvalues of the covariance from which data are drawn, and β; s² = 1/4 and as many latents as eigenvalues.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Training {
    data_variances: Vec<f64>,
    beta: f64,
}

/// After training, the singular values of W and A and the posterior variances are those of the closed form.
pub(super) struct Trained;

/// Allowed difference from the closed form: of σ² in units of the prior's variance, of W and A in units of the data's
/// largest standard deviation and of its inverse.
const TOLERANCE: f64 = 0.05;
const LIKELIHOOD_VARIANCE: f64 = 0.25;
/// Items drawn; the truth is the covariance of just these.
const ITEMS: usize = 1_000;
/// Steps of decreasing size, the last of which average out the noise of the draws.
const STAGES: [(usize, f64); 3] = [(400, 0.02), (200, 0.005), (100, 0.001)];
const BATCH: usize = 100;

impl Experiment for Trained {
    type Instance = Training;

    fn instances(&self) -> BoxedStrategy<Training> {
        // With β = 8 the noise βs² = 2 lies between the variances: one direction collapses. Closer to the noise it would
        // collapse too slowly for the number of steps.
        (grid::one_of(&[4.0, 6.0, 9.0]), grid::one_of(&[1.0, 8.0, 2.0]))
            .prop_map(|(first, beta)| Training { data_variances: vec![first, 1.0], beta })
            .boxed()
    }

    fn judge(&self, instance: &Training, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        if !(0.5..=16.0).contains(&instance.beta) {
            return Err(Obstacle(format!("β is {}; training was tuned for 0.5 to 16", instance.beta)));
        }
        vector("the data variances", &instance.data_variances, instance.data_variances.len().min(4))?;
        if instance.data_variances.iter().any(|variance| *variance <= 0.0) {
            return Err(Obstacle(
                "where the data do not vary, A is not determined: variances must be above 0".to_owned(),
            ));
        }
        let seed = trial.draws_seed();
        let data = gaussian(&instance.data_variances, ITEMS, seed, Split::Train)?;
        let vae = train(&data, instance, trial)?;
        let variances = data_variances(&sample_covariance(&data))?;
        let latents = instance.data_variances.len();
        let expected = optimum(&variances, latents, instance.beta, LIKELIHOOD_VARIANCE, trial);
        let found = Found::of(&vae, &data)?;
        let deviation = variances.first().copied().unwrap_or(Enclosure::UNKNOWN).sqrt();
        let decoders: Vec<Enclosure> = expected.iter().map(|direction| direction.decoder).collect();
        let encoders: Vec<Enclosure> = expected.iter().map(|direction| direction.encoder).collect();
        let posterior: Vec<Enclosure> = expected.iter().map(|direction| direction.variance).collect();
        let close = |found: &[f64], expected: &[Enclosure], scale: Enclosure| -> Finding {
            let pairs = found.iter().zip(expected);
            all(pairs.map(|(found, expected)| less((*expected - *found).abs(), scale * TOLERANCE)))
        };
        let finding = all([
            close(&found.decoder, &decoders, deviation),
            close(&found.encoder, &encoders, Enclosure::exact(1.0) / deviation),
            close(&found.variances, &posterior, Enclosure::exact(1.0)),
        ]);
        let values = |enclosures: &[Enclosure]| rounded(&enclosures.iter().map(|e| e.value).collect::<Vec<_>>());
        let line = format!(
            "data variances {}, s² = 0.25, β = {}: W {} (closed form {}), A {} ({}), σ² {} ({})",
            show(&instance.data_variances),
            instance.beta,
            rounded(&found.decoder),
            values(&decoders),
            rounded(&found.encoder),
            values(&encoders),
            rounded(&found.variances),
            values(&posterior),
        );
        let numbers = [
            ("largest singular value of W, trained", Enclosure::exact(found.decoder[0])),
            ("closed form", decoders[0]),
        ];
        Ok(Judgement::new(finding, line, &numbers))
    }
}

fn rounded(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
    values.join(", ")
}

/// A linear β-VAE after all stages.
fn train(data: &Dataset, instance: &Training, trial: &Trial<'_>) -> Result<Vae, Obstacle> {
    let preset = Architecture::preset("linear", data.item_shape())?.with_latent_dim(instance.data_variances.len());
    let architecture = Architecture { likelihood: Likelihood::Gaussian { std: LIKELIHOOD_VARIANCE.sqrt() }, ..preset };
    // Cases are spread over threads already.
    let workers = Workers::new(NonZeroUsize::new(1))?;
    let mut vae: Option<Vae> = None;
    for (epochs, learning_rate) in STAGES {
        let plan =
            TrainingPlan { epochs, batch_size: BATCH, learning_rate, beta: instance.beta, seed: trial.draws_seed() };
        let mut trainer = match &vae {
            Some(vae) => Trainer::continuing(vae, data, plan)?,
            None => Trainer::new(architecture.clone(), data, plan, &Device::Cpu)?,
        };
        while !trainer.is_finished() {
            trainer.run_epoch(&workers)?;
        }
        vae = Some(trainer.model()?.vae);
    }
    vae.ok_or_else(|| Obstacle("nothing was trained".to_owned()))
}

/// The covariance of the items around their mean.
fn sample_covariance(data: &Dataset) -> DMatrix<f64> {
    let items = DMatrix::from_row_iterator(data.len(), data.dim(), data.values().iter().map(|&value| f64::from(value)));
    let mean = items.row_mean();
    let centred = DMatrix::from_fn(data.len(), data.dim(), |i, j| items[(i, j)] - mean[j]);
    let covariance = centred.tr_mul(&centred) / data.len() as f64;
    (&covariance + covariance.transpose()) * 0.5
}

/// Singular values of W, largest first; then in the order of W's columns by length the lengths of A's rows, which are
/// the gains where each latent coordinate reads one direction, and σ².
struct Found {
    decoder: Vec<f64>,
    encoder: Vec<f64>,
    variances: Vec<f64>,
}

impl Found {
    fn of(vae: &Vae, data: &Dataset) -> Result<Self, Obstacle> {
        let vae = vae.converted(DType::F64, &Device::Cpu)?;
        let weight = |network: &crate::model::Network| -> Result<DMatrix<f64>, Obstacle> {
            let weight = network.layers().first().and_then(|layer| layer.parameters.first());
            let weight = weight.ok_or_else(|| Obstacle("no layer".to_owned()))?;
            let (rows, columns) = weight.dims2()?;
            Ok(DMatrix::from_row_slice(rows, columns, &weight.flatten_all()?.to_vec1::<f64>()?))
        };
        let singular = |matrix: &DMatrix<f64>| -> Result<Vec<f64>, Obstacle> {
            Ok(eigenvalue_enclosures(&matrix.tr_mul(matrix))?.into_iter().map(|value| value.value.sqrt()).collect())
        };
        let (decoder, encoder) = (weight(vae.decoder())?, weight(&vae.encoder().mean_network())?);
        let mean: Vec<f64> = (0..data.dim())
            .map(|j| {
                data.values().iter().skip(j).step_by(data.dim()).map(|&v| f64::from(v)).sum::<f64>() / data.len() as f64
            })
            .collect();
        let std = vae.encoder().forward(&Tensor::from_vec(mean, (1, data.dim()), &Device::Cpu)?)?.std;
        let std = std.squeeze(0)?.to_vec1::<f64>()?;
        let mut order: Vec<usize> = (0..std.len()).collect();
        order.sort_by(|&a, &b| decoder.column(b).norm().total_cmp(&decoder.column(a).norm()));
        Ok(Self {
            encoder: order.iter().map(|&i| encoder.row(i).norm()).collect(),
            decoder: singular(&decoder)?,
            variances: order.iter().map(|&i| std[i] * std[i]).collect(),
        })
    }
}
