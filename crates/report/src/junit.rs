//! JUnit XML for continuous integration.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// One scenario run by `hcddl test`.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseResult {
    /// Path of the scenario, with its seed when several are run.
    pub name: String,
    /// Real time.
    pub took: Duration,
    /// Why it failed, a sentence each; empty when it passed.
    pub failures: Vec<String>,
    /// The command that runs it again.
    pub replay: String,
}

/// The report of all cases as XML.
///
/// # Errors
/// A message when the report cannot be written as XML.
pub fn xml(cases: &[CaseResult]) -> Result<String, String> {
    let mut suite = TestSuite::new("scenarios");
    for case in cases {
        let status = if case.failures.is_empty() {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(case.failures.join("; ")).set_description(format!(
                "{}\nreplay: {}",
                case.failures.join("\n"),
                case.replay
            ));
            status
        };
        let mut entry = TestCase::new(case.name.clone(), status);
        entry.set_classname("hcddl").set_time(case.took);
        suite.add_test_case(entry);
    }
    let mut report = Report::new("hcddl test");
    report.add_test_suite(suite);
    report.to_string().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_file() {
        let case = |name: &str, failures: &[&str]| CaseResult {
            name: name.to_owned(),
            took: Duration::from_millis(1500),
            failures: failures.iter().map(|f| (*f).to_owned()).collect(),
            replay: format!("hcddl sim {name} --seed 1"),
        };
        let cases = [case("a.yml", &[]), case("b <&>.yml", &["accuracy is 0.5, expected at least 0.9"])];
        insta::assert_snapshot!(xml(&cases).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="hcddl test" tests="2" skipped="0" failures="1" errors="0">
            <testsuite name="scenarios" tests="2" skipped="0" errors="0" failures="1">
                <testcase name="a.yml" classname="hcddl" time="1.500"/>
                <testcase name="b &lt;&amp;&gt;.yml" classname="hcddl" time="1.500">
                    <failure message="accuracy is 0.5, expected at least 0.9">accuracy is 0.5, expected at least 0.9
        replay: hcddl sim b &lt;&amp;&gt;.yml --seed 1</failure>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }
}
