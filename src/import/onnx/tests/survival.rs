//! Whatever the bytes, reading ends with a model or an error.

use proptest::prelude::*;

use super::FOLDER;
use crate::import::onnx::{read_decoder, read_encoder, read_whole, ConcatenatedHeads, OnnxNames, StdKind};

/// All three readers; only a panic is a failure.
fn survive(bytes: &[u8]) {
    let heads = Some(ConcatenatedHeads { kind: StdKind::Std, mean_first: true });
    for names in [OnnxNames::default(), OnnxNames { heads, ..OnnxNames::default() }] {
        let _ = read_encoder(bytes, None, &names, None);
        let _ = read_decoder(bytes, None, &names, None);
        let _ = read_whole(bytes, None, &names, None);
    }
}

fn files() -> Vec<Vec<u8>> {
    [
        "keras-like",
        "chunk-torch17",
        "alternating-torch11",
        "upsampling-dynamo18",
        "transposed-torch17",
        "drawing-torch17",
        "mean-dynamo18",
    ]
    .iter()
    .map(|name| std::fs::read(format!("{FOLDER}/{name}.onnx")).unwrap())
    .collect()
}

#[test]
fn every_prefix_of_a_file() {
    for file in files() {
        for length in 0..file.len() {
            survive(&file[..length]);
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::seeded(4000))]

    #[test]
    fn files_with_changed_bytes(
        which in 0..7_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = files().swap_remove(which);
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        survive(&file);
    }

    #[test]
    fn files_with_parts_cut_out_and_repeated(
        which in 0..7_usize,
        from in any::<prop::sample::Index>(),
        length in 0..200_usize,
        to in any::<prop::sample::Index>(),
    ) {
        let mut file = files().swap_remove(which);
        let start = from.index(file.len());
        let part: Vec<u8> = file.drain(start..(start + length).min(file.len())).collect();
        survive(&file);
        if !file.is_empty() {
            let place = to.index(file.len());
            file.splice(place..place, part);
            survive(&file);
        }
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(&bytes);
    }
}
