use super::*;
use hcddl_core::domain::Choice;
use serde_json::json;

/// A rule by its options, with learning rate 0.5.
fn rule(name: &str, options: serde_json::Value) -> LocalRule {
    let mut options = options.as_object().unwrap().clone();
    options.insert("lr".to_owned(), 0.5.into());
    let choice = Choice { name: name.to_owned(), options, positional: vec![] };
    let optimizer = (optimizer::table().get(name).unwrap().build)(&choice).unwrap();
    LocalRule { optimizer, ..LocalRule::sgd(0.5) }
}

const ONE: Site<'_> = Site { isa: Isa::Portable, params_len: 1, statistics: &[], epoch: 2 };

fn job(steps: u64, output: UpdateKind) -> Train {
    Train { model: Params::new(vec![1.0]), opt: None, cursor: 10, steps, output, lr_scale: 1.0 }
}

/// f(x) = x^2 / 2 scaled by the batch number: gradient = (cursor - 9) x, with as many samples.
fn toy(job: &Train, rule: &LocalRule) -> Result<Trained, String> {
    run(ONE, job, rule, &mut Buffers::default(), &|| true, |at, cursor, out| {
        out[0] = (cursor - 9) as f32 * at[0];
        Ok(StepLoss { loss: f64::from(at[0]), samples: cursor - 9 })
    })
}

fn value(trained: &Trained) -> f32 {
    trained.tensor.values().unwrap()[0]
}

#[test]
fn outputs_by_hand() {
    let rule = LocalRule::sgd(0.5);
    // Steps: 1 -> 1 - .5 = .5 -> .5 - .5 (2 x .5) = 0.
    assert_eq!(value(&toy(&job(1, UpdateKind::Model), &rule).unwrap()), 0.5);
    assert_eq!(value(&toy(&job(2, UpdateKind::Delta), &rule).unwrap()), -1.0);
    // Gradients 1 (1 sample) and 2 (2 samples): mean 5/3.
    let trained = toy(&job(2, UpdateKind::Gradient), &rule).unwrap();
    assert!((value(&trained) - 5.0 / 3.0).abs() < 1e-6);
    assert_eq!((trained.samples, trained.forward_passes, trained.steps, trained.loss), (3, 3, 2, 1.0));
    let slow = Train { lr_scale: 0.5, ..job(1, UpdateKind::Model) };
    assert_eq!(value(&toy(&slow, &rule).unwrap()), 0.75);
}

#[test]
fn momentum_decay_and_proximal_by_hand() {
    let two = |options: serde_json::Value, proximal: f64| {
        let rule = LocalRule { proximal, ..rule("sgd", options) };
        value(&toy(&job(2, UpdateKind::Model), &rule).unwrap())
    };
    // v = 1, x = .5; v = .5 + 1 = 1.5, x = .5 - .75.
    assert_eq!(two(json!({"momentum": 0.5}), 0.0), -0.25);
    // v = 1, d = 1.5, x = .25; v = .5 + .5 = 1, d = 1, x = -.25.
    assert_eq!(two(json!({"momentum": 0.5, "nesterov": true}), 0.0), -0.25);
    // d = 1 + 1, x = 0; d = 0.
    assert_eq!(two(json!({"weight_decay": 1.0}), 0.0), 0.0);
    // d = 1, x = .5; d = 1 + 1 (.5 - 1) = .5, x = .25.
    assert_eq!(two(json!({}), 1.0), 0.25);
}

#[test]
fn persistent_moments_continue_where_they_stopped() {
    for (name, options) in [("sgd", json!({"momentum": 0.5})), ("adam", json!({})), ("adamw", json!({}))] {
        let mut options = options;
        options["persistent"] = true.into();
        let rule = rule(name, options);
        let whole = toy(&job(2, UpdateKind::Model), &rule).unwrap();
        let first = toy(&job(1, UpdateKind::Model), &rule).unwrap();
        let second = Train { model: first.tensor, opt: first.opt, cursor: 11, ..job(1, UpdateKind::Model) };
        let second = toy(&second, &rule).unwrap();
        assert_eq!((&second.tensor, &second.opt), (&whole.tensor, &whole.opt), "{name}");
        assert_eq!(second.opt.unwrap().step, 2);
    }
    let forgetful = toy(&job(2, UpdateKind::Model), &rule("adam", json!({}))).unwrap();
    assert_eq!(forgetful.opt, None);
}

/// The schedule goes by the position in the node's own sequence of batches, not by the step of the job.
#[test]
fn a_schedule_multiplies_the_learning_rate() {
    let mut choice = Choice::named("step");
    choice.options.insert("every".to_owned(), 11.into());
    choice.options.insert("factor".to_owned(), 0.5.into());
    let schedule = (schedule::table().get("step").unwrap().build)(&choice).unwrap();
    let rule = LocalRule { schedule, ..LocalRule::sgd(0.5) };
    // Batch 10: x = 1 - .5; batch 11: x = .5 - .25 (2 x .5).
    assert_eq!(value(&toy(&job(2, UpdateKind::Model), &rule).unwrap()), 0.25);
}

#[test]
fn long_gradients_are_shortened() {
    let clipped = |norm, output| {
        let rule = LocalRule { clip_norm: Some(norm), ..LocalRule::sgd(0.5) };
        value(&toy(&job(2, output), &rule).unwrap())
    };
    // 1 becomes 1/2, x = .75; 2 x .75 becomes 1/2 too, x = .5.
    assert!((clipped(0.5, UpdateKind::Model) - 0.5).abs() < 1e-5);
    assert_eq!(clipped(9.0, UpdateKind::Model), 0.0, "as without");
    assert!((clipped(0.5, UpdateKind::Gradient) - 0.5).abs() < 1e-5, "the mean of the batches is shortened");
}

/// Parameters 1 and 3 are statistics: their part of the gradient is the batch's statistic, and nothing else that
/// a rule does touches them.
#[test]
fn statistics_move_by_their_own_rule() {
    let statistics = [Statistic { range: 1..2, momentum: 0.25 }, Statistic { range: 3..5, momentum: 0.5 }];
    let job = Train { model: Params::new(vec![1.0, 8.0, 1.0, 0.0, 4.0]), ..job(2, UpdateKind::Model) };
    let run_with = |rule: &LocalRule, statistics: &[Statistic]| {
        let site = Site { params_len: 5, statistics, ..ONE };
        let trained = run(site, &job, rule, &mut Buffers::default(), &|| true, |at, _, out| {
            out.copy_from_slice(&[at[0], 4.0, at[2], 2.0, 1000.0]);
            Ok(StepLoss { loss: 1.0, samples: 1 })
        });
        trained.unwrap().tensor.into_values().unwrap()
    };
    for (name, options) in [
        ("sgd", json!({})),
        ("sgd", json!({"momentum": 0.9, "weight_decay": 0.1})),
        ("adam", json!({"weight_decay": 0.1})),
        ("adamw", json!({})),
    ] {
        let rule = LocalRule { clip_norm: Some(0.1), proximal: 3.0, ..rule(name, options) };
        let x = run_with(&rule, &statistics);
        // 8 -> 7 -> 6.25; 0 -> 1 -> 1.5; 4 -> 502 -> 751.
        assert_eq!((x[1], x[3], x[4]), (6.25, 1.5, 751.0), "{name}");
        assert_eq!(x[0], x[2], "{name}");
        assert!(x[0] < 1.0, "{name}");
    }
    // Without clipping the parameters go as if the statistics were not there.
    let x = run_with(&rule("adam", json!({})), &statistics);
    assert_eq!(x[0], run_with(&rule("adam", json!({})), &[])[0]);
    // Clipping measures the parameters alone: (1, 1) is not longer than 2.
    let mild = LocalRule { clip_norm: Some(2.0), ..LocalRule::sgd(0.5) };
    assert_eq!(run_with(&mild, &statistics)[0], 0.25);
}

/// Batch 11 has this loss and this gradient.
fn broken(rule: &LocalRule, output: UpdateKind, loss: f64, slope: f32) -> Result<Trained, String> {
    let job = Train { opt: Some(OptState { step: 7, slots: vec![] }), ..job(3, output) };
    run(ONE, &job, rule, &mut Buffers::default(), &|| true, |_, c, out| {
        out[0] = if c == 11 { slope } else { 1.0 };
        Ok(StepLoss { loss: if c == 11 { loss } else { 1.0 }, samples: 4 })
    })
}

#[test]
fn a_loss_that_is_not_finite_names_its_step_and_a_way_out() {
    let rule = LocalRule::sgd(0.5);
    let error = broken(&rule, UpdateKind::Delta, f64::NAN, 1.0).unwrap_err();
    let way = "try a smaller learning rate, `training.clip_norm`, or `training.not_finite: skip` to go on without \
               such updates";
    assert_eq!(error, format!("the loss is NaN at step 2 of 3; {way}"));
    for output in [UpdateKind::Gradient, UpdateKind::Model] {
        let error = broken(&rule, output, 1.0, f32::INFINITY).unwrap_err();
        assert_eq!(error, format!("the update is not finite at step 3 of 3; {way}"));
    }
}

#[test]
fn a_skipped_job_changes_nothing_and_counts_no_samples() {
    let rule = LocalRule { not_finite: NotFinite::Skip, ..LocalRule::sgd(0.5) };
    for (output, expected) in
        [(UpdateKind::Gradient, 0.0), (UpdateKind::Delta, 0.0), (UpdateKind::Model, 1.0)]
    {
        let trained = broken(&rule, output, f64::INFINITY, 1.0).unwrap();
        assert_eq!((trained.skipped, trained.steps, value(&trained)), (Some(2), 2, expected));
        assert_eq!((trained.samples, trained.forward_passes), (0, 8));
        assert_eq!(trained.opt.map(|opt| opt.step), Some(7), "as if it had not been");
        let late = broken(&rule, output, 1.0, f32::NAN).unwrap();
        assert_eq!((late.skipped, late.forward_passes, value(&late)), (Some(3), 12, expected));
        assert_eq!(broken(&rule, output, 1.0, 1.0).unwrap().skipped, None);
    }
}
