//! The files of a certificate's shards become the certificate.

use std::io;
use std::path::{Path, PathBuf};

use super::{check_output, ordered, Found, MergeError};
use crate::audit::certificate_writer::{malformed, open_reader, CertificateWriter, ExistingCertificate};
use crate::audit::certify::CertifyError;
use crate::certificate::{Entry, Header};

/// All shards of a certificate, in order, each of them finished.
#[derive(Debug)]
pub struct ShardCertificates {
    shards: Vec<Found<Header>>,
    header: Header,
}

impl ShardCertificates {
    /// Reads the headers and checks that they are all those of one run, and that every entry is there.
    ///
    /// # Errors
    /// [`MergeError`] where they are not.
    pub fn open(paths: &[PathBuf]) -> Result<Self, MergeError> {
        let found = |path: &PathBuf| {
            let header = open_reader(path)?.header().clone();
            let shard = header.shard;
            Found::new(path, header, shard)
        };
        let mut shards = ordered(paths.iter().map(found).collect::<Result<Vec<_>, MergeError>>()?)?;
        shards.iter_mut().try_for_each(check_finished)?;
        let first = shards.first().ok_or(MergeError::Nothing)?;
        let header = Header { shard: None, ..first.identity.clone() };
        Ok(Self { shards, header })
    }

    /// The header of the joined certificate.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Writes the joined certificate to `out`, every entry tied to its header, and hands every entry to `sink`.
    ///
    /// # Errors
    /// If something cannot be read or written; `out` then holds an interrupted certificate.
    pub fn write(
        &self,
        out: &Path,
        overwrite: bool,
        mut sink: impl FnMut(&Entry) -> io::Result<()>,
    ) -> Result<(), MergeError> {
        check_output(&self.shards, out)?;
        let existing = if overwrite { ExistingCertificate::Overwrite } else { ExistingCertificate::Refuse };
        let mut writer = CertificateWriter::open(out, self.header.clone(), existing)?;
        for shard in &self.shards {
            let mut reader = open_reader(&shard.path)?;
            while let Some(entry) = reader.next_entry().map_err(|source| malformed(&shard.path, source))? {
                sink(&entry).map_err(CertifyError::Output)?;
                writer.append_entry(entry)?;
            }
            // Where locks do not hold, a shard may have changed since it was checked.
            shard.check_count(reader.entries(), shard.identity.range().len(), "")?;
        }
        Ok(())
    }
}

/// Fails unless a shard has an entry of each of its inputs, and nobody writes it.
fn check_finished(shard: &mut Found<Header>) -> Result<(), MergeError> {
    let path = shard.path.clone();
    if !shard.hold(&path).map_err(|source| CertifyError::Io { path: path.clone(), source })? {
        return Err(CertifyError::InUse { path }.into());
    }
    let mut reader = open_reader(&shard.path)?;
    while reader.next_entry().map_err(|source| malformed(&shard.path, source))?.is_some() {}
    shard.check_count(reader.entries(), shard.identity.range().len(), "")
}
