//! Certificates from end to end: written by the prover, checked by the checker, refused in every way of being wrong.

mod accept;
mod files;

mod hunt;
mod reject;

use vaecert::audit::certificates::JudgedModel;
use vaecert::audit::certify::{certify, header};
use vaecert::audit::run::DataChoice;
use vaecert::audit::AuditPlan;
use vaecert::certificate::{encode, sha256, CertificateFile, Entry, Header};
use vaecert::data::{DataSource, Dataset, Split};
use vaecert::margin::RadiusRule;
use vaecert::model::{Activation, Model};
use vaecert::quantity::{Probability, Threat};
use vaecert::seed::Seed;
use vaecert::verify::{Checker, Data, Rejection, Report};

/// One of each kind.
const ACTIVATIONS: [Activation; 7] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.2 },
    Activation::Elu { alpha: 1.0 },
    Activation::Softplus,
    Activation::Tanh,
    Activation::Sigmoid,
];

/// A plan small enough for a test.
fn plan(threat: Threat) -> AuditPlan {
    let quantile = RadiusRule::Quantile(Probability::new(0.9).unwrap());
    AuditPlan {
        threat,
        selection_draws: 300,
        estimation_draws: 1_000,
        ..AuditPlan::standard(quantile, Probability::new(0.001).unwrap(), Seed(7))
    }
}

/// A certificate in memory with everything that it is about.
struct Case {
    header: Header,
    entries: Vec<Entry>,
    model: Vec<u8>,
    data: Dataset,
}

impl Case {
    /// The certificate of the first `inputs` inputs.
    fn new(model: &Model, source: DataSource, inputs: usize, plan: &AuditPlan) -> Self {
        let model_file = model.to_bytes().unwrap();
        let data = source.load(Split::Test, Seed(0)).unwrap();
        let choice = DataChoice { source, split: Split::Test, seed: Seed(0), first: 0, inputs };
        let header = header(model, &model_file, &choice, &data, plan).unwrap();
        let judged = JudgedModel::new(&model.vae).unwrap();
        let run = run_of(&header);
        let entries =
            (0..inputs).map(|index| certify(&judged, &header, &run, data.row(index).unwrap(), index)).collect();
        Self { header, entries, model: model_file, data }
    }

    /// The bytes of its file, every entry tied to the header as it now is.
    fn bytes(&self) -> Vec<u8> {
        let run = run_of(&self.header);
        let mut bytes = encode(&self.header).unwrap();
        for entry in &self.entries {
            bytes.extend(encode(&Entry { run: run.clone(), ..entry.clone() }).unwrap());
        }
        bytes
    }

    fn check(&self) -> Result<Vec<Report>, Rejection> {
        check(&CertificateFile::parse(&self.bytes()).unwrap(), &self.model, &self.data)
    }
}

fn run_of(header: &Header) -> String {
    sha256(encode(header).unwrap().strip_suffix(b"\n").unwrap())
}

/// Every entry's report.
fn check(certificate: &CertificateFile, model: &[u8], data: &Dataset) -> Result<Vec<Report>, Rejection> {
    let view = Data { item_shape: data.item_shape(), values: data.values() };
    let checker = Checker::new(&certificate.header, model, &view)?;
    let row = |entry: &Entry| data.row(entry.input).unwrap_or_default();
    Ok(certificate.entries.iter().map(|entry| checker.check(entry, row(entry), None)).collect())
}

fn digits() -> DataSource {
    DataSource::parse("digits", None).unwrap()
}
