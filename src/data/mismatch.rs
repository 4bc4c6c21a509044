//! Why data do not fit a model, in words.

use super::preprocessing::channels_come_last;

/// What differs between the shape of a data item and the shape a model expects, and which option would help. Shapes are
/// `[C, H, W]`, `[H, W]` or `[d]`; those with equal products need no explanation.
#[must_use]
pub fn explain_mismatch(data_shape: &[usize], model_shape: &[usize]) -> String {
    let product = |shape: &[usize]| shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
    let data_values = product(data_shape);
    if data_values.is_some() && data_values == product(model_shape) {
        return explain_order(data_shape, model_shape);
    }
    let (Some(data), Some(model)) = (image(data_shape), image(model_shape)) else {
        return format!(
            "the data have items of shape {data_shape:?} and the model expects {model_shape:?}; use the data the model \
             was trained on"
        );
    };
    let (data, hint) = match data_shape {
        &[rows, columns, channels] if channels_come_last(rows, channels) && model.channels != data.channels => {
            (Image { channels, rows, columns }, "if the file stores channels last, use --layout nhwc")
        }
        _ => (data, ""),
    };
    let mut advice = Vec::new();
    if !hint.is_empty() {
        advice.push(hint.to_owned());
    }
    if (data.rows, data.columns) != (model.rows, model.columns) {
        let size = format!("{}x{}", model.rows, model.columns);
        let larger = data.rows <= model.rows && data.columns <= model.columns;
        let pad = if larger { format!(" (stretch) or --resize pad:{size} (zeros around)") } else { String::new() };
        advice
            .push(format!("images of {}x{} pixels against {size}: use --resize {size}{pad}", data.rows, data.columns));
    }
    if data.channels != model.channels {
        advice.push(format!(
            "{} against {}: {}",
            channels(data.channels),
            channels(model.channels),
            if data.channels == 1 && model.channels == 3 {
                "a folder of grey images is read as colour with --layout nchw; other data must be converted"
            } else {
                "convert the images, or use a model for them"
            }
        ));
    }
    format!("the data have items of shape {data_shape:?} and the model expects {model_shape:?}; {}", advice.join("; "))
}

/// Equal products: fine, unless the axes are in another order.
fn explain_order(data_shape: &[usize], model_shape: &[usize]) -> String {
    match (data_shape, model_shape) {
        (&[height, width, last], &[channels, rows, columns])
            if last == channels && (height, width) == (rows, columns) && data_shape != model_shape =>
        {
            format!(
                "the data have items of shape {data_shape:?}, channels last, and the model expects {model_shape:?}; use \
                 --layout nhwc"
            )
        }
        _ => format!("the data have items of shape {data_shape:?}, which the model takes as {model_shape:?}"),
    }
}

struct Image {
    channels: usize,
    rows: usize,
    columns: usize,
}

fn image(shape: &[usize]) -> Option<Image> {
    match *shape {
        [rows, columns] => Some(Image { channels: 1, rows, columns }),
        [channels, rows, columns] => Some(Image { channels, rows, columns }),
        _ => None,
    }
}

fn channels(count: usize) -> String {
    format!("{count} channel{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_size_is_explained_with_the_options_that_change_it() {
        let text = explain_mismatch(&[28, 28], &[32, 32]);
        assert!(text.contains("28x28 pixels against 32x32"), "{text}");
        assert!(text.contains("--resize 32x32") && text.contains("--resize pad:32x32"), "{text}");
        assert!(!text.contains("channel"), "{text}");
        // Padding cannot make an image smaller.
        let text = explain_mismatch(&[1, 32, 32], &[28, 28]);
        assert!(text.contains("--resize 28x28") && !text.contains("pad:"), "{text}");
    }

    #[test]
    fn another_number_of_channels_is_explained() {
        let text = explain_mismatch(&[3, 32, 32], &[1, 32, 32]);
        assert!(text.contains("3 channels against 1 channel") && !text.contains("--resize"), "{text}");
        let text = explain_mismatch(&[28, 28], &[3, 32, 32]);
        assert!(text.contains("1 channel against 3 channels") && text.contains("--resize 32x32"), "{text}");
        assert!(text.contains("--layout nchw"), "{text}");
    }

    #[test]
    fn channels_that_come_last_are_recognised_whether_or_not_the_product_agrees() {
        assert!(explain_mismatch(&[32, 32, 3], &[3, 32, 32]).contains("--layout nhwc"));
        let text = explain_mismatch(&[28, 28, 3], &[3, 32, 32]);
        assert!(text.contains("--layout nhwc") && text.contains("28x28 pixels against 32x32"), "{text}");
        assert!(!text.contains("against 3 channels"), "{text}");
    }

    #[test]
    fn equal_products_are_fine() {
        for (data, model) in [(&[784][..], &[28, 28][..]), (&[28, 28], &[1, 28, 28]), (&[3, 32, 32], &[3072])] {
            let text = explain_mismatch(data, model);
            assert!(text.contains("takes as") && !text.contains("--"), "{text}");
        }
    }

    #[test]
    fn vectors_of_another_length_are_named_without_advice_on_images() {
        let text = explain_mismatch(&[3], &[28, 28]);
        assert!(text.contains("[3]") && text.contains("[28, 28]") && !text.contains("--"), "{text}");
        // Products beyond any memory are not compared.
        assert!(explain_mismatch(&[usize::MAX, 2], &[2]).contains("expects [2]"));
    }
}
