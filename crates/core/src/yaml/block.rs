//! Writes a value as block-style YAML, for plan.yml.

use serde_json::Value;

/// The value as YAML; `null` and empty maps, which mean "by default", are left out. Ends in a line break.
#[must_use]
pub fn block(value: &Value) -> String {
    let mut text = String::new();
    put(value, 0, &mut text);
    text
}

fn put(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(_, value)| !is_default(value)) {
                text.push_str(&format!("{:indent$}{}:", "", scalar_text(key)));
                put_below(value, indent, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                put(item, indent + 2, &mut inner);
                // The dash takes the place of the first line's indent.
                let empty = if item.is_array() { "[]\n" } else { "{}\n" };
                let first = inner.get(indent + 2..).unwrap_or(empty);
                text.push_str(&format!("{:indent$}- {first}", ""));
            }
        }
        scalar => text.push_str(&format!("{:indent$}{}\n", "", inline(scalar))),
    }
}

fn put_below(value: &Value, indent: usize, text: &mut String) {
    let is_leaf = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Array(items) if items.iter().all(is_leaf) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            text.push_str(&format!(" [{}]\n", items.join(", ")));
        }
        Value::Object(_) | Value::Array(_) => {
            text.push('\n');
            put(value, indent + 2, text);
        }
        scalar => text.push_str(&format!(" {}\n", inline(scalar))),
    }
}

/// Whether a value says nothing: null, or a map in which nothing says anything.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_default),
        _ => false,
    }
}

fn inline(scalar: &Value) -> String {
    match scalar {
        Value::String(text) => scalar_text(text),
        other => other.to_string(),
    }
}

/// Plain where no reader of YAML 1.1 or 1.2 could take it for anything but text, else as a JSON string, which
/// YAML reads too.
fn scalar_text(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./()".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_whole_text() {
        let value = json!({
            "name": "a run: 1", "seed": 3, "nothing": null, "empty": {"inner": null},
            "topology": {"name": "tree", "fanout": [2, 2]},
            "lr": 1e-7, "policy": "ssp(3)", "no": "no",
            "faults": {"events": [{"at": "10s", "crash": "worker1"}, {"at": "20s", "partition": [["a"], ["b"]]}]},
            "list": [],
        });
        let text = "name: \"a run: 1\"\n\
                    seed: 3\n\
                    topology:\n  name: tree\n  fanout: [2, 2]\n\
                    lr: 1e-7\n\
                    policy: ssp(3)\n\
                    \"no\": \"no\"\n\
                    faults:\n  events:\n    - at: \"10s\"\n      crash: worker1\n    - at: \"20s\"\n      \
                    partition:\n        - - a\n        - - b\n\
                    list: []\n";
        assert_eq!(block(&value), text);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            "\\PC{1,8}".prop_map(Value::from),
            "(true|no|~|1|0x1f|1e3|[a-z]{1,4}(: |#| #|, )?[a-z]?)".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{1,4}|\\PC{1,4}", inner, 1..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What a run writes is what a later run reads.
        #[test]
        fn our_own_reader_reads_it_back(value in proptest::collection::btree_map("[a-z]{1,4}", value(), 1..4)) {
            let value = Value::Object(value.into_iter().collect());
            let read = crate::yaml::parse(&block(&value)).map(|parsed| parsed.value);
            prop_assert_eq!(read.ok(), Some(value.clone()), "{}", block(&value));
        }
    }
}
