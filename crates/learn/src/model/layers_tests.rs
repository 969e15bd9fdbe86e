use super::*;
use crate::layer::Layer;
use crate::loss::Loss;
use crate::model::{self, DataShape, Input, ModelContext, Network, Output};
use serde_json::json;

fn images() -> DataShape {
    DataShape::images(2, 12, 12, 10)
}

fn tokens(output: Output) -> DataShape {
    DataShape { input: Input::Token { vocabulary: 9 }, sequence: true, output }
}

fn built(shape: &DataShape, options: Value) -> Result<Network, OptionError> {
    let choice = Choice { options: options.as_object().unwrap().clone(), ..Choice::named("layers") };
    let table = model::table();
    let (row, choice) = table.resolve(&choice).unwrap();
    (row.build)(&choice, &ModelContext::new(*shape))
}

fn of_layers(shape: &DataShape, layers: Value) -> Result<Network, OptionError> {
    built(shape, json!({ "layers": layers }))
}

fn refused(shape: &DataShape, layers: Value) -> String {
    of_layers(shape, layers).unwrap_err().to_string()
}

#[test]
fn every_example_builds_and_shows_every_option() {
    for row in table().rows() {
        let shape = match row.name {
            "embedding" => tokens(Output::Tags(3)),
            "gru" | "lstm" | "last_step" => DataShape { sequence: true, ..images() },
            // Its example keeps one channel.
            "residual" => DataShape::images(1, 12, 12, 10),
            _ => images(),
        };
        let example = hcddl_core::yaml::parse(row.example).unwrap().value;
        let choice = Choice::from_value(&example).unwrap();
        assert_eq!(choice.name, row.name);
        let network = (row.build)(&choice, NetworkBuilder::new(&shape)).unwrap();
        for key in row.positional {
            assert!(choice.options.contains_key(*key), "{}: {key}", row.name);
        }
        let mut unknown = choice.clone();
        unknown.options.insert("colour".to_owned(), json!("red"));
        let error = (row.build)(&unknown, NetworkBuilder::new(&shape)).unwrap_err();
        assert!(error.to_string().contains("colour"), "{}: {error}", row.name);
        // A layer by itself is a model of its own outputs.
        if row.name != "flatten" {
            let len = network.len().unwrap();
            let sequence = network.is_sequence();
            let same = DataShape { output: Output::Numbers(len), sequence, ..shape };
            let again =
                (row.build)(&choice, NetworkBuilder::new(&DataShape { sequence: shape.sequence, ..same }));
            let finished = again.unwrap().finish(None, model::Init::Torch);
            assert_eq!(finished.is_ok(), sequence == shape.sequence, "{}", row.name);
        }
    }
}

#[test]
fn a_lenet_in_yaml_is_the_lenet_of_the_table() {
    let text = "{layers: [conv2d(6, 5), tanh, avg_pool(2), {name: conv2d, filters: 16, kernel: 5, activation: tanh}, \
                avg_pool(2), flatten, linear(120), tanh, linear(84, relu), linear(classes)], \
                loss: cross_entropy, init: glorot_uniform}";
    let options = hcddl_core::yaml::parse(text).unwrap().value;
    let shape = DataShape::images(1, 28, 28, 10);
    let own = built(&shape, options).unwrap();
    let lenet =
        (model::table().get("lenet").unwrap().build)(&Choice::named("lenet"), &ModelContext::new(shape))
            .unwrap();
    assert_eq!((own.tensors(), own.loss()), (lenet.tensors(), lenet.loss()));
    assert_eq!(own.init(4), lenet.init(4));
    // Activations are fused, so the layers are the same too.
    assert_eq!(
        format!("{:?}", own.layers().collect::<Vec<_>>()),
        format!("{:?}", lenet.layers().collect::<Vec<_>>())
    );
}

#[test]
fn shapes_follow_from_layer_to_layer() {
    let now = |layers: Value| {
        let network = add(NetworkBuilder::new(&images()), layers.as_array().unwrap(), "layers").unwrap();
        network.now().to_string()
    };
    assert_eq!(now(json!(["conv2d(5, 3, 2, same)"])), "5 x 6 x 6 values");
    assert_eq!(now(json!(["conv2d(6, 4, 3, 2)"])), "6 x 5 x 5 values");
    assert_eq!(now(json!(["depthwise(3, 1)"])), "2 x 10 x 10 values");
    assert_eq!(now(json!([{"name": "depthwise", "kernel": 5, "padding": "same"}])), "2 x 12 x 12 values");
    assert_eq!(now(json!(["max_pool(3, 2, 1)"])), "2 x 6 x 6 values");
    assert_eq!(now(json!(["avg_pool(5)", "flatten"])), "8 values");
    assert_eq!(now(json!(["global_avg_pool", "linear(classes)"])), "10 values");
}

#[test]
fn residual_blocks_nest_and_name_their_tensors() {
    let network = of_layers(
        &images(),
        json!([
            {"name": "residual", "layers": ["conv2d(4, 3, 2, same)", "relu", "conv2d(4, 3, 1, same)"],
             "shortcut": ["conv2d(4, 1, 2)"]},
            {"name": "residual", "layers": [{"name": "residual", "layers": ["conv2d(4, 1)"]}], "activation": "tanh"},
            "linear(classes)"
        ]),
    );
    let network = network.unwrap();
    let names: Vec<String> = network.tensors().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[0], "residual1.body.conv1.weight");
    assert_eq!(names[4], "residual1.shortcut.conv1.weight");
    assert_eq!(names[6], "residual2.body.residual1.body.conv1.weight");
    assert_eq!(network.layers().count(), 3);
}

#[test]
fn errors_name_the_layer_and_the_option() {
    let image = images();
    for (layers, expected) in [
        (
            json!(["tanh", "relu", {"name": "conv2d", "filters": 4, "kernel": 13}]),
            "layers[2]: `conv2d`: a convolution kernel of 13x13 does not fit its input of 12x12 pixels",
        ),
        (json!(["conv2d(4)"]), "layers[0]: `conv2d`: missing field `kernel`"),
        (json!(["conv2d(4, 0)"]), "layers[0].kernel: `0` is out of bounds"),
        (json!(["conv2d(4, 2, 1, same)"]), "layers[0].padding: `same` around a kernel of 2"),
        (
            json!(["conv2d(4, 3, 1, some)"]),
            "layers[0].padding: \"some\" does not fit here; allowed: a whole number or `same`",
        ),
        (
            json!(["relu", {"name": "conv2d", "filters": 4, "kernel": 3, "groups": 3}]),
            "layers[1].groups: 3 groups",
        ),
        (json!(["max_pool(2, 2, 2)"]), "layers[0].padding: `2` is out of bounds"),
        (json!(["convolution(3)"]), "layers[0]: unknown layer `convolution`"),
        (json!([7]), "layers[0]: `7` is not a choice"),
        (json!(["dropout(1.0)"]), "layers[0].p: `1` is out of bounds"),
        (json!(["linear(3, gelu)"]), "layers[0].activation: unknown variant `gelu`"),
        (
            json!(["linear(12.5)"]),
            "layers[0].outputs: 12.5 does not fit here; allowed: a whole number or `classes`",
        ),
        (
            json!(["linear(84)"]),
            "layers[0]: the last output is 84 values, the data's is one of 10 classes for each sample",
        ),
        (json!([]), "layers: the last output is 2 x 12 x 12 values"),
        (
            json!([{"name": "residual", "layers": ["relu", "conv2d(3, 99)"]}]),
            "layers[0].layers[1]: `conv2d`: a convolution kernel of 99x99",
        ),
        (
            json!([{"name": "residual", "layers": ["conv2d(3, 3)"]}]),
            "layers[0].shortcut: the layers give 3 x 10 x 10 values, the shortcut gives 2 x 12 x 12 values",
        ),
        (json!([{"name": "residual", "layers": []}]), "layers[0].layers: a residual block without layers"),
        (
            json!(["embedding(4)"]),
            "layers[0]: `embedding`: an embedding reads tokens, its input is 2 x 12 x 12 values",
        ),
    ] {
        let error = refused(&image, layers.clone());
        assert!(error.starts_with(expected), "{layers}: {error}");
    }
    let error = refused(&tokens(Output::Tags(3)), json!(["conv2d(4, 5)"]));
    assert!(error.contains("its input is tokens (of 9)") && error.contains("embedding"), "{error}");
}

#[test]
fn outputs_for_steps_and_samples_are_told_apart() {
    let per_sample = tokens(Output::Classes(9));
    let error = refused(&per_sample, json!(["embedding(4)", "linear(classes)"]));
    assert!(
        error.starts_with("layers[1]: an output for each time step") && error.contains("last_step"),
        "{error}"
    );
    assert!(of_layers(&per_sample, json!(["embedding(4)", "last_step", "linear(classes)"])).is_ok());
    let error = refused(&tokens(Output::Tags(9)), json!(["embedding(4)", "last_step", "linear(classes)"]));
    assert!(error.starts_with("layers[2]: one output for each sample"), "{error}");
    let error = refused(&per_sample, json!(["embedding(4)", "last_step", "last_step", "linear(classes)"]));
    assert!(error.starts_with("layers[2]: `last_step`: its input has no time steps"), "{error}");
}

#[test]
fn the_loss_fits_the_data_and_the_last_layer() {
    let with = |output, last: &str, loss: Value| {
        let shape = DataShape { output, ..DataShape::features(4, 1) };
        built(&shape, json!({"layers": ["linear(3)", last], "loss": loss}))
    };
    let loss = |output, last, loss| with(output, last, loss).unwrap().loss();
    let error = |output, last, loss| with(output, last, loss).unwrap_err().to_string();
    let classes = Output::Classes(3);
    assert_eq!(loss(classes, "tanh", Value::Null), Loss::CrossEntropy);
    assert_eq!(loss(classes, "log_softmax", Value::Null), Loss::Nll);
    assert_eq!(loss(Output::Probabilities(3), "sigmoid", Value::Null), Loss::BinaryCrossEntropy);
    assert_eq!(loss(Output::Probabilities(3), "tanh", json!("mean_squared")), Loss::MeanSquared);
    assert_eq!(loss(Output::Numbers(3), "tanh", Value::Null), Loss::MeanSquared);
    let wrong = error(classes, "tanh", json!("mean_squared"));
    assert!(wrong.starts_with("loss: mean_squared does not fit data with one of 3 classes"), "{wrong}");
    let wrong = error(classes, "tanh", json!("nll"));
    assert!(wrong.starts_with("loss: nll needs a `log_softmax` as the last layer"), "{wrong}");
    let wrong = error(classes, "log_softmax", json!("cross_entropy"));
    assert!(wrong.starts_with("loss: cross_entropy after a `log_softmax`"), "{wrong}");
    let wrong = error(Output::Probabilities(3), "tanh", Value::Null);
    assert!(wrong.starts_with("loss: binary_cross_entropy needs outputs from 0 to 1"), "{wrong}");
    let wrong = error(classes, "tanh", json!("hinge"));
    assert!(wrong.starts_with("loss: unknown variant `hinge`"), "{wrong}");
}

#[test]
fn a_block_that_starts_as_its_shortcut_is_the_identity() {
    let shape = DataShape { output: Output::Numbers(8), ..DataShape::images(1, 2, 4, 1) };
    let block = json!({"name": "residual", "activation": "identity", "zero_start": true,
                       "layers": ["conv2d(1, 3, 1, same)", {"name": "group_norm", "groups": 1}]});
    let network = of_layers(&shape, json!([block])).unwrap();
    let x: Vec<f32> = (0u8..8).map(f32::from).collect();
    let targets = crate::batch::Targets::Values(x.clone());
    let batch = crate::batch::Batch { x: x.clone(), targets, samples: 1, steps: 1 };
    let mut work = model::Workspace::default();
    assert_eq!(network.evaluate(&mut work, &network.init(1), &batch).mean(), 0.0);
    assert_eq!(network.outputs(&work, 1), x);
}

#[test]
fn activations_are_fused_once() {
    let network = of_layers(&images(), json!(["linear(5)", "tanh", "relu", "linear(classes)"])).unwrap();
    let kinds: Vec<&str> = network.layers().map(Layer::kind).collect();
    assert_eq!(kinds, ["linear", "relu", "linear"]);
}
