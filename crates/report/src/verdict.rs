//! Whether a run did what its scenario expects: `hcddl test`.

use hcddl_core::node::Reason;
use hcddl_plan::measure::outcome::Summary;
use hcddl_plan::plan::Expect;

/// What a run failed to do, a sentence each; empty when it passed. Without any expectation a run passes
/// unless it stalled.
#[must_use]
pub fn failures(expect: &Expect, summary: &Summary) -> Vec<String> {
    let mut failures = Vec::new();
    if let Some(why) = summary.reason.problem() {
        failures.push(format!("training stopped early: {why}"));
    }
    if summary.reason == Reason::Interrupted {
        failures.push("interrupted".to_owned());
    }
    at_least(&mut failures, "accuracy", summary.accuracy, expect.accuracy_min);
    at_most(&mut failures, "loss", summary.loss, expect.loss_max);
    at_most(&mut failures, "time to target in s", summary.time_to_target_s, expect.time_to_target_s_max);
    at_most(&mut failures, "virtual time in s", Some(summary.virtual_time_s), expect.virtual_time_s_max);
    at_most(&mut failures, "mean staleness", Some(summary.staleness.mean), expect.staleness_mean_max);
    if let Some(least) = expect.commits_min
        && summary.commits < least
    {
        failures.push(format!("commits is {}, expected at least {least}", summary.commits));
    }
    if expect.no_lost_update && summary.lost_updates > 0 {
        failures.push(format!("{} update(s) were lost, expected none", summary.lost_updates));
    }
    equal(&mut failures, "weight digest", &summary.weight_digest, expect.weight_digest.as_deref());
    equal(&mut failures, "trace digest", &summary.trace_digest, expect.trace_digest.as_deref());
    failures
}

fn at_least(failures: &mut Vec<String>, what: &str, value: Option<f64>, least: Option<f64>) {
    compare(failures, what, value, least, "at least", |value, least| value >= least);
}

fn at_most(failures: &mut Vec<String>, what: &str, value: Option<f64>, most: Option<f64>) {
    compare(failures, what, value, most, "at most", |value, most| value <= most);
}

/// A value that was never measured fails too, and so does one that is not a number.
fn compare(
    failures: &mut Vec<String>,
    what: &str,
    value: Option<f64>,
    bound: Option<f64>,
    how: &str,
    holds: impl Fn(f64, f64) -> bool,
) {
    match (value, bound) {
        (_, None) => {}
        (Some(value), Some(bound)) if holds(value, bound) => {}
        (Some(value), Some(bound)) => failures.push(format!("{what} is {value}, expected {how} {bound}")),
        (None, Some(bound)) => failures.push(format!("{what} was never reached, expected {how} {bound}")),
    }
}

fn equal(failures: &mut Vec<String>, what: &str, value: &str, expected: Option<&str>) {
    if let Some(expected) = expected
        && !value.eq_ignore_ascii_case(expected)
    {
        failures.push(format!("{what} is {value}, expected {expected}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_plan::fixture::summary;

    #[test]
    fn a_run_that_meets_everything_passes() {
        let expect = Expect {
            accuracy_min: Some(0.9),
            loss_max: Some(0.2),
            time_to_target_s_max: Some(2.0),
            virtual_time_s_max: Some(90.0),
            commits_min: Some(60),
            staleness_mean_max: Some(3.0),
            no_lost_update: true,
            weight_digest: Some("FEDCBA9876543210FEDCBA9876543210".to_owned()),
            trace_digest: Some("0123456789abcdef0123456789abcdef".to_owned()),
        };
        assert_eq!(failures(&expect, &summary()), Vec::<String>::new());
        assert_eq!(failures(&Expect::default(), &summary()), Vec::<String>::new());
    }

    #[test]
    fn every_broken_expectation_is_named() {
        let expect = Expect {
            accuracy_min: Some(0.99),
            loss_max: Some(0.1),
            time_to_target_s_max: Some(1.0),
            virtual_time_s_max: Some(1.0),
            commits_min: Some(61),
            staleness_mean_max: Some(2.0),
            no_lost_update: true,
            weight_digest: Some("00".to_owned()),
            trace_digest: Some("11".to_owned()),
        };
        let mut bad = summary();
        bad.lost_updates = 1;
        bad.loss = Some(f64::NAN);
        bad.time_to_target_s = None;
        bad.reason = Reason::Stalled("worker2 is gone".to_owned());
        insta::assert_snapshot!(failures(&expect, &bad).join("\n"), @r#"
        training stopped early: worker2 is gone
        accuracy is 0.94321, expected at least 0.99
        loss is NaN, expected at most 0.1
        time to target in s was never reached, expected at most 1
        virtual time in s is 90, expected at most 1
        mean staleness is 3, expected at most 2
        commits is 60, expected at least 61
        1 update(s) were lost, expected none
        weight digest is fedcba9876543210fedcba9876543210, expected 00
        trace digest is 0123456789abcdef0123456789abcdef, expected 11
        "#);
    }
}
