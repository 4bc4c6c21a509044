//! The reader against the program's own writer; no other test here needs more of the program than the checker does.

#[cfg(test)]
mod tests {
    use super::super::model::Model;
    use crate::seed::Seed;

    #[test]
    fn a_model_written_by_this_program_is_read_with_the_same_code() {
        let architecture = crate::model::Architecture::preset("digits", &[8, 8]).unwrap();
        let vae = crate::model::Vae::initialised(architecture, Seed(3), &candle_core::Device::Cpu).unwrap();
        let model = crate::model::Model::new(&vae, None).unwrap();
        let read = Model::read(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(read.weights_sha256, model.sha256);
        let input: Vec<f32> = (0..64u8).map(|i| f32::from(i) / 64.0).collect();
        let tensor = candle_core::Tensor::from_vec(input.clone(), (1, 64), &candle_core::Device::Cpu).unwrap();
        let expected = vae.encoder().forward(&tensor).unwrap();
        let code = read.encode(&input);
        for (found, expected) in code.mean.0.iter().zip(expected.mean.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        {
            assert!((found - f64::from(expected)).abs() < 1e-5);
        }
        for ((low, high), expected) in
            code.std.iter().zip(expected.std.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        {
            assert!((low - f64::from(expected)).abs() < 1e-5 && high - low < 1e-12);
        }
    }
}
