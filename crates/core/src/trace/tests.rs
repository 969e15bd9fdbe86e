use super::*;
use crate::domain::{Choice, OptionError, Stream, Table, Time};
use serde_json::{Value, json};

fn s(seconds: f64) -> Span {
    Span::from_seconds(seconds)
}

fn availability(value: &Value) -> Result<std::sync::Arc<dyn Availability>, OptionError> {
    built(&availability::table(), value, |build, choice| build(choice, &()))
}

fn bandwidth(value: &Value) -> Result<std::sync::Arc<dyn Bandwidth>, OptionError> {
    built(&bandwidth::table(), value, |build, choice| build(choice, &()))
}

fn built<B: Copy, T>(
    table: &Table<B>,
    value: &Value,
    build: impl Fn(B, &Choice) -> Result<T, OptionError>,
) -> Result<T, OptionError> {
    let (row, choice) = table.resolve(&Choice::from_value(value)?)?;
    build(row.build, &choice)
}

/// The share of a long time for which it is there, and how often it leaves.
fn there(value: &Value, until: f64) -> (f64, usize) {
    let changes: Vec<(Span, bool)> = availability(value)
        .unwrap()
        .course(Stream::new(1, "trace", 3, 0))
        .take_while(|(at, _)| at.seconds() < until)
        .collect();
    let ends = changes.iter().skip(1).map(|(at, _)| at.seconds()).chain([until]);
    let on = changes.iter().zip(ends).filter(|((_, on), _)| *on).map(|((at, _), end)| end - at.seconds());
    (on.sum::<f64>() / until, changes.iter().filter(|(_, on)| !on).count())
}

#[test]
fn generators_keep_their_shares() {
    for value in [
        json!("poisson(60s, 20s)"),
        json!("weibull(60s, 20s)"),
        json!({"name": "weibull", "on": "60s", "off": "20s", "shape": 2}),
        json!({"name": "diurnal", "period": "80s", "share": 0.75}),
    ] {
        let (share, absences) = there(&value, 400_000.0);
        assert!((share - 0.75).abs() < 0.02, "{value}: {share}");
        assert!((absences as f64 / 5000.0 - 1.0).abs() < 0.1, "{value}: {absences}");
    }
    // Few long ones and many short ones.
    let short = |value: Value| {
        let course = availability(&value).unwrap().course(Stream::new(1, "trace", 0, 0));
        let at: Vec<f64> = course.take(4001).map(|(at, _)| at.seconds()).collect();
        at.windows(2).filter(|pair| pair[1] - pair[0] < 6.0).count()
    };
    assert!(short(json!("weibull(60s, 60s, 0.6)")) > 2 * short(json!("poisson(60s, 60s)")));
}

#[test]
fn a_day_begins_at_the_hour_of_the_node() {
    let course = |value: Value, node| {
        availability(&value).unwrap().course(Stream::new(1, "trace", node, 0)).take(3).collect::<Vec<_>>()
    };
    let all = json!({"name": "diurnal", "period": "10s", "share": 0.4, "phase": "2s", "spread": 0});
    assert_eq!(course(all, 0), [(s(0.0), false), (s(2.0), true), (s(6.0), false)]);
    let over = json!({"name": "diurnal", "period": "10s", "share": 0.4, "phase": "8s", "spread": 0});
    assert_eq!(course(over, 0), [(s(0.0), true), (s(2.0), false), (s(8.0), true)]);
    let spread = json!({"name": "diurnal", "period": "10s", "share": 0.4, "spread": 1});
    assert_ne!(course(spread.clone(), 0), course(spread, 1));
}

#[test]
fn a_walk_stays_between_its_bounds() {
    let walk = bandwidth(&json!({"name": "random_walk", "min": "1mbit", "max": "16mbit", "sigma": 0.5}));
    let rates: Vec<(Span, f64)> = walk.unwrap().course(Stream::new(1, "trace", 0, 0)).take(20_000).collect();
    assert!(rates.iter().all(|(_, rate)| (0.999 * 125e3..=1.001 * 2e6).contains(rate)));
    assert!(rates.windows(2).all(|pair| pair[1].0.0 - pair[0].0.0 == 1_000_000_000));
    // Equally likely on a logarithmic scale.
    let low = rates.iter().filter(|(_, rate)| *rate < 500e3).count() as f64 / 20_000.0;
    assert!((low - 0.5).abs() < 0.1, "{low}");
    let from = bandwidth(&json!({"name": "random_walk", "min": "1mbit", "max": "2mbit", "start": "2mbit"}));
    let first = from.unwrap().course(Stream::new(1, "trace", 0, 0)).next().unwrap();
    assert!(first.0 == Span::ZERO && (first.1 / 250e3 - 1.0).abs() < 1e-9);
}

#[test]
fn bursts_lose_their_share() {
    let loss = |value: Value| built(&loss::table(), &value, |build, choice| build(choice, &()));
    let Loss::Bursts(bursts) = loss(json!("gilbert_elliott(9s, 1s, 0.02, 0.6)")).unwrap() else { panic!() };
    assert!((Loss::Bursts(bursts).mean() - 0.078).abs() < 1e-12);
    let mut states = bursts.states(Stream::new(1, "loss", 0, 0));
    let seen: Vec<f64> = (0..200_000).map(|i| bursts.at(&mut states, Time(i * 100_000_000))).collect();
    let mean = seen.iter().sum::<f64>() / seen.len() as f64;
    assert!((mean - 0.078).abs() < 0.005, "{mean}");
    // Losses come together: a bad moment follows a bad one.
    let bad = seen.windows(2).filter(|pair| pair[0] > 0.5);
    let stays = bad.clone().filter(|pair| pair[1] > 0.5).count() as f64 / bad.count() as f64;
    assert!(stays > 0.85, "{stays}");
}

#[test]
fn records_repeat_where_the_last_one_is() {
    let records = vec![(s(1.0), 10.0), (s(2.0), 20.0), (s(4.0), 30.0)];
    let once = Recorded::new(records.clone(), false).unwrap();
    let all: Vec<_> = once.course().collect();
    assert_eq!(all, [(s(0.0), 10.0), (s(1.0), 10.0), (s(2.0), 20.0), (s(4.0), 30.0)]);
    let again = Recorded::new(records, true).unwrap();
    let some: Vec<_> = again.course().take(6).collect();
    let expected = [(0.0, 10.0), (1.0, 10.0), (2.0, 20.0), (4.0, 10.0), (5.0, 20.0), (7.0, 10.0)];
    assert_eq!(some, expected.map(|(at, rate)| (s(at), rate)));
    for (at, value) in some {
        assert_eq!(again.at(at), value, "{at:?}");
    }
    // From the middle on.
    let within = again.from_within(s(4.5));
    let from: Vec<_> = within.course().take(3).collect();
    assert_eq!(from, [(s(0.0), 10.0), (s(0.5), 20.0), (s(2.5), 10.0)]);
    assert_eq!([0.0, 0.4, 0.6].map(|at| within.at(s(at))), [10.0, 10.0, 20.0]);
    assert_eq!(once.from_within(s(9.0)).course().collect::<Vec<_>>(), [(s(0.0), 30.0)]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let a = |value: Value| availability(&value).unwrap_err().to_string();
    let b = |value: Value| bandwidth(&value).unwrap_err().to_string();
    for (error, part) in [
        (a(json!("poisson(0s, 1s)")), "on: `0ns` is out of bounds"),
        (a(json!("weibull(1s, 1s, 0.1)")), "shape: `0.1` is out of bounds"),
        (a(json!({"name": "diurnal", "share": 1})), "share: `1` is out of bounds"),
        (a(json!({"name": "diurnal", "share": 0.5, "phase": "25h"})), "less than `period`"),
        (a(json!("poison(1s, 1s)")), "did you mean `poisson`?"),
        (b(json!("random_walk(0mbit, 1mbit)")), "min: `0bit` is out of bounds"),
        (b(json!("random_walk(2mbit, 1mbit)")), "more than `min`"),
        (b(json!({"name": "random_walk", "min": "1mbit", "max": "2mbit", "start": "3mbit"})), "from `min`"),
    ] {
        assert!(error.contains(part), "{error}");
    }
    for records in [vec![], vec![(s(1.0), 1), (s(1.0), 2)], vec![(s(2.0), 1), (s(1.0), 2)]] {
        assert!(Recorded::new(records, false).is_err());
    }
    assert!(Recorded::new(vec![(s(1.0), 1)], true).is_err());
}

/// Adding a node shifts no draw of another one, and the same name gives the same course.
#[test]
fn courses_are_functions_of_their_stream() {
    for row in availability::table().rows() {
        let value = crate::yaml::flow(row.example);
        let course = |node| {
            let all = availability(&value).unwrap().course(Stream::new(1, "trace", node, 0));
            all.take(50).collect::<Vec<_>>()
        };
        assert_eq!(course(1), course(1), "{}", row.name);
        assert_ne!(course(1), course(2), "{}", row.name);
    }
    for row in bandwidth::table().rows() {
        let value = crate::yaml::flow(row.example);
        let course = |node| {
            let all = bandwidth(&value).unwrap().course(Stream::new(1, "trace", node, 0));
            all.take(50).collect::<Vec<_>>()
        };
        assert_eq!(course(1), course(1), "{}", row.name);
        assert_ne!(course(1), course(2), "{}", row.name);
    }
}
