use super::*;
use serde_json::{Value, json};

#[test]
fn reads_every_form() {
    let read = |value: Value| scheme(&value.into(), &table()).unwrap();
    assert_eq!(read(json!("torch")), Init::Torch);
    assert_eq!(read(json!({"name": "he_normal"})), Init::HeNormal);
    for normal in [json!("normal(0.1)"), json!({"name": "normal", "deviation": 0.1}), json!({"normal": 0.1})]
    {
        assert_eq!(read(normal), Init::Normal(0.1));
    }
    for row in table().rows() {
        let example = hcddl_core::yaml::parse(row.example).unwrap().value;
        let init = read(example);
        assert_eq!(init == Init::Normal(0.1), row.name == "normal");
    }
}

#[test]
fn refuses_what_it_does_not_know() {
    let error = |value: Value| scheme(&value.into(), &table()).unwrap_err().to_string();
    assert!(error(json!("tourch")).contains("did you mean `torch`?"));
    assert!(error(json!("normal")).contains("deviation"));
    assert!(error(json!("normal(0)")).contains("deviation: `0` is out of bounds"));
    assert!(error(json!("torch(1)")).contains("takes 0 value"));
    assert!(error(json!({"deviation": 0.1})).contains("unknown init `deviation`"));
    assert!(error(json!(3)).contains("is not a choice"));
}

fn first(init: Init, tensor: &Tensor, index: u64) -> Vec<f32> {
    let mut values = Vec::new();
    init.fill(tensor, 5, index, &mut values);
    values
}

fn deviation(values: &[f32]) -> f64 {
    (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn values_follow_their_scheme() {
    let conv = Tensor::new("weight", vec![20, 10, 5, 5], Role::Weight).fans(250, 500);
    let matrix = Tensor::new("weight", vec![100, 60], Role::Weight).fans(100, 60);
    let bias = Tensor::new("bias", vec![60], Role::Bias).fans(100, 60);
    let bound = |values: &[f32]| values.iter().fold(0f32, |m, v| m.max(v.abs()));
    let near = |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 0.05, "{got} {expected}");
    near(f64::from(bound(&first(Init::GlorotUniform, &matrix, 1))), (6.0f64 / 160.0).sqrt());
    near(f64::from(bound(&first(Init::Torch, &matrix, 1))), 0.1);
    near(f64::from(bound(&first(Init::Torch, &bias, 1))), 0.1);
    near(deviation(&first(Init::HeNormal, &matrix, 1)), (2.0f64 / 60.0).sqrt());
    near(deviation(&first(Init::Resnet, &conv, 1)), (2.0f64 / 500.0).sqrt());
    assert_eq!(first(Init::Resnet, &matrix, 1), first(Init::Torch, &matrix, 1));
    near(f64::from(bound(&first(Init::Fourier, &matrix, 0))), (6.0f64 / 60.0).sqrt());
    assert_eq!(first(Init::Fourier, &bias, 1), first(Init::Torch, &bias, 1));
    near(deviation(&first(Init::Normal(0.1), &conv, 2)), 0.1);
    for zero in [Init::GlorotUniform, Init::HeNormal] {
        assert!(first(zero, &bias, 1).iter().all(|v| *v == 0.0));
    }
    assert_ne!(first(Init::Torch, &matrix, 1), first(Init::Torch, &matrix, 2));
}

#[test]
fn fixed_roles_keep_their_values_under_every_scheme() {
    let embedding = Tensor::new("weight", vec![4, 3], Role::Embedding { padding: Some(2) }).fans(4, 3);
    let of = |role| Tensor::new("x", vec![50], role);
    for init in
        [Init::GlorotUniform, Init::Torch, Init::HeNormal, Init::Resnet, Init::Fourier, Init::Normal(0.1)]
    {
        assert_eq!(first(init, &of(Role::Scale), 0), [1.0; 50]);
        assert_eq!(first(init, &of(Role::Shift), 0), [0.0; 50]);
        assert_eq!(first(init, &of(Role::Statistic { start: 2.5, momentum: 0.1 }), 0), [2.5; 50]);
        assert!(first(init, &of(Role::Uniform(0.5)), 3).iter().all(|v| v.abs() <= 0.5 && *v != 0.0));
        assert!(first(init, &of(Role::Uniform(0.0)), 3).iter().all(|v| v.to_bits() == 0));
        let rows = first(init, &embedding, 1);
        assert_eq!(rows[6..9], [0.0; 3]);
        assert!(rows[..6].iter().all(|v| *v != 0.0));
    }
}
