//! Helpers of tests.
use serde_json::Value;

/// A row's example as a scenario would read it.
pub(crate) fn flow_yaml(text: &str) -> Value {
    fn value(yaml: &saphyr::Yaml) -> Value {
        if let Some(map) = yaml.as_mapping() {
            return map.iter().map(|(k, v)| (k.as_str().unwrap().to_owned(), value(v))).collect();
        }
        if let Some(items) = yaml.as_sequence() {
            return items.iter().map(value).collect();
        }
        match (yaml.as_integer(), yaml.as_floating_point(), yaml.as_bool(), yaml.as_str()) {
            (Some(whole), ..) => whole.into(),
            (_, Some(number), ..) => number.into(),
            (_, _, Some(flag), _) => flag.into(),
            (.., Some(text)) => text.into(),
            _ => Value::Null,
        }
    }
    use saphyr::LoadableYamlNode;
    value(&saphyr::Yaml::load_from_str(text).unwrap()[0])
}

pub(crate) mod contention;
