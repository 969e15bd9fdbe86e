//! YAML text to a value with its lines. One document, no anchors, no duplicate keys; never panics.

pub mod block;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Deeper nesting than this is refused, so that no later recursion can overflow the stack.
const DEPTH_MAX: usize = 64;

/// Bytes of the paths of all entries of a file together. A scenario of 10,000 nodes has some 5 MB.
const PATH_BYTES_MAX: usize = 256 << 20;

/// A parsed file: what it says and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// What it says, keys in their written order.
    pub value: Value,
    /// Line of each key path; list entries are numbers: `faults.events.0.at`.
    pub lines: BTreeMap<String, usize>,
}

/// Text that is not the YAML we read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Line from 1.
    pub line: usize,
    /// Path of the key concerned, where known.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The next step; may be empty.
    pub next_step: String,
}

/// Reads one YAML document. Empty text is an empty map.
///
/// # Errors
/// [`YamlError`] for malformed text, a duplicate key, an anchor, alias, tag or merge key, a second document,
/// a key that is not plain text, or nesting deeper than 64.
pub fn parse(text: &str) -> Result<Document, YamlError> {
    let (value, lines) = read(text).map_err(|mut error| {
        // The scanner notices an unclosed bracket after the last line.
        error.line = error.line.min(text.lines().count().max(1));
        error
    })?;
    let value = if value.is_null() { Value::Object(Map::new()) } else { value };
    Ok(Document { value, lines })
}

fn read(text: &str) -> Result<(Value, BTreeMap<String, usize>), YamlError> {
    refuse_tabs(text)?;
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        lines: BTreeMap::new(),
        path: Vec::new(),
        path_bytes: 0,
    };
    let mut value = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if value.is_some() => {
                return Err(error(span, "", "there is a second document in this file", "keep one document"));
            }
            event => value = Some(reader.value(event, span)?),
        }
    }
    Ok((value.unwrap_or_default(), reader.lines))
}

fn error(span: Span, path: &str, message: impl Into<String>, next_step: &str) -> YamlError {
    YamlError {
        line: span.start.line().max(1),
        path: path.to_owned(),
        message: message.into(),
        next_step: next_step.to_owned(),
    }
}

/// A tab in the indentation is invisible, so it gets its own message.
fn refuse_tabs(text: &str) -> Result<(), YamlError> {
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let starts_flow = line.trim_start().is_empty();
        if !starts_flow && line[..indent].contains('\t') {
            return Err(YamlError {
                line: number + 1,
                path: String::new(),
                message: "a tab indents this line".to_owned(),
                next_step: "indent with spaces".to_owned(),
            });
        }
    }
    Ok(())
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    lines: BTreeMap<String, usize>,
    path: Vec<String>,
    /// Bytes of all paths so far: each entry repeats those above it.
    path_bytes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(scan)) => Err(YamlError {
                line: scan.marker().line().max(1),
                path: self.path.join("."),
                message: format!("this is not YAML: {}", scan.info()),
                next_step: "check the indentation and the quotes around this line".to_owned(),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn refuse(&self, span: Span, what: &str, next_step: &str) -> YamlError {
        error(span, &self.path.join("."), what, next_step)
    }

    fn value(&mut self, event: Event<'a>, span: Span) -> Result<Value, YamlError> {
        if self.path.len() > DEPTH_MAX {
            return Err(self.refuse(span, "this is nested more than 64 levels deep", "flatten it"));
        }
        let anchored = |anchor: usize| anchor != 0;
        match event {
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchored(anchor) =>
            {
                Err(self.refuse(span, "anchors (`&name`) are not supported", "write the value out"))
            }
            Event::Alias(_) => {
                Err(self.refuse(span, "aliases (`*name`) are not supported", "write the value out"))
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                Err(self.refuse(span, "tags (`!name`) are not supported", "leave the tag out"))
            }
            Event::Scalar(text, style, _, None) => Ok(scalar(&text, style)),
            Event::SequenceStart(..) => self.sequence(),
            Event::MappingStart(..) => self.mapping(),
            other => Err(self.refuse(span, &format!("unexpected {other:?}"), "check the indentation")),
        }
    }

    /// The items of a list. `[conv2d(6, 5), tanh]` has two: a comma within parentheses separates arguments.
    fn sequence(&mut self) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        let mut open_call: Option<usize> = None;
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            let plain = match &event {
                Event::Scalar(text, ScalarStyle::Plain, 0, None) => Some(text.to_string()),
                _ => None,
            };
            // The parentheses that are open in the last item, if it is a call.
            open_call = match (open_call.take(), plain, items.last_mut()) {
                (Some(open), Some(rest), Some(Value::String(call))) => {
                    call.push_str(", ");
                    call.push_str(&rest);
                    (open + rest.matches('(').count()).checked_sub(rest.matches(')').count())
                }
                (_, plain, _) => {
                    self.enter(items.len().to_string(), span)?;
                    items.push(self.value(event, span)?);
                    self.path.pop();
                    plain.and_then(|text| open_parentheses(&text))
                }
            }
            .filter(|open| *open > 0);
        }
    }

    fn mapping(&mut self) -> Result<Value, YamlError> {
        let mut map = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Object(map)),
                Event::Scalar(text, ScalarStyle::Plain, 0, None) if text == "<<" => {
                    return Err(self.refuse(
                        span,
                        "merge keys (`<<`) are not supported",
                        "write the keys out",
                    ));
                }
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                _ => return Err(self.refuse(span, "a key is not plain text", "use a word as the key")),
            };
            let first = self.lines.get(&self.path_with(&key)).copied();
            self.enter(key.clone(), span)?;
            if map.contains_key(&key) {
                let place = first.map_or_else(String::new, |line| format!(", first on line {line}"));
                return Err(self.refuse(
                    span,
                    &format!("the key `{key}` is written twice{place}"),
                    "keep one of them",
                ));
            }
            let (event, span) = self.next()?;
            let value = self.value(event, span)?;
            map.insert(key, value);
            self.path.pop();
        }
    }

    fn path_with(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path.join(".")) }
    }

    fn enter(&mut self, key: String, span: Span) -> Result<(), YamlError> {
        self.path.push(key);
        self.path_bytes += self.path.iter().map(|key| key.len() + 1).sum::<usize>();
        if self.path_bytes > PATH_BYTES_MAX {
            let what = "up to here the file has too many entries, or too long keys above them";
            return Err(error(span, "", what, "shorten the keys"));
        }
        self.lines.insert(self.path.join("."), span.start.line().max(1));
        Ok(())
    }
}

/// How many parentheses of `name(..` are not closed; `None` for what is no call, or closes more than it opens.
fn open_parentheses(text: &str) -> Option<usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let (name, _) = text.split_once('(')?;
    let named = !name.is_empty() && name.chars().all(is_name);
    text.matches('(').count().checked_sub(text.matches(')').count()).filter(|_| named)
}

/// The core schema of YAML 1.2; infinities and NaN stay text since JSON has none.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = |text: &str| -> Option<Number> {
        if let Some(hex) = text.strip_prefix("0x") {
            return u64::from_str_radix(hex, 16).ok().map(Number::from);
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let plain = text.strip_prefix('+').unwrap_or(text);
        if let Ok(whole) = plain.parse::<u64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = plain.parse::<i64>() {
            return Some(whole.into());
        }
        plain.parse::<f64>().ok().and_then(Number::from_f64)
    };
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Performs `path=value` on a value, the value read as YAML: `tiers.global.policy=async`. Missing maps are
/// made; entries of lists are numbers. Returns the path.
///
/// # Errors
/// A message with the next step when there is no `=`, the value is not YAML, or the path goes through
/// something that is neither a map nor a list with that entry.
pub fn set(value: &mut Value, assignment: &str) -> Result<String, YamlError> {
    let (path, new) = assigned(assignment)?;
    put(value, &path, new)?;
    Ok(path)
}

/// The path and the value of `path=value`.
///
/// # Errors
/// A message with the next step when there is no `=` or the value is not YAML.
pub fn assigned(assignment: &str) -> Result<(String, Value), YamlError> {
    const EXAMPLE: &str = "write `--set training.rounds=100`";
    let Some((path, text)) = assignment.split_once('=') else {
        return Err(refused("", format!("`{assignment}` has no `=`"), EXAMPLE));
    };
    let path = path.trim();
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return Err(refused("", format!("`{path}` is not a key path"), EXAMPLE));
    }
    let new = read(text).map_err(|error| refused(path, error.message, &error.next_step))?.0;
    Ok((path.to_owned(), new))
}

/// Sets what a key path leads to. Missing maps are made; entries of lists are numbers.
///
/// # Errors
/// When the path goes through something that is neither a map nor a list with that entry.
pub fn put(value: &mut Value, path: &str, new: Value) -> Result<(), YamlError> {
    let mut at = value;
    let mut walked: Vec<&str> = Vec::new();
    for key in path.split('.') {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        walked.push(key);
        at = match at {
            Value::Object(map) => map.entry(key).or_insert(Value::Null),
            Value::Array(items) => {
                let len = items.len();
                let item = key.parse::<usize>().ok().and_then(|index| items.get_mut(index));
                item.ok_or_else(|| {
                    refused(
                        &walked.join("."),
                        format!("this list of {len} has no entry `{key}`"),
                        "entries are counted from 0",
                    )
                })?
            }
            other => {
                let message = format!("`{other}` has no keys, so `{key}` cannot be set below it");
                return Err(refused(&walked.join("."), message, "set the whole value instead"));
            }
        };
    }
    *at = new;
    Ok(())
}

fn refused(path: &str, message: String, next_step: &str) -> YamlError {
    YamlError { line: 1, path: path.to_owned(), message, next_step: next_step.to_owned() }
}

/// What a row's example says.
#[cfg(test)]
pub(crate) fn flow(text: &str) -> Value {
    parse(text).unwrap().value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_and_lines() {
        let text =
            "a: 1\nb:\n  - x\n  - {y: 20ms, z: -1.5}\n# note\nc: \"2\"\nd: ~\ne: true\nf: .inf\ng: 5e-3\n";
        let doc = parse(text).unwrap();
        assert_eq!(
            doc.value,
            json!({"a": 1, "b": ["x", {"y": "20ms", "z": -1.5}], "c": "2", "d": null, "e": true,
                   "f": ".inf", "g": 5e-3})
        );
        assert_eq!((doc.lines["b"], doc.lines["b.1"], doc.lines["b.1.z"], doc.lines["c"]), (2, 4, 4, 6));
    }

    #[test]
    fn commas_within_parentheses_do_not_split_a_list() {
        let doc = parse("a: [conv(6, 5), tanh,\n  mix(a(1, 2), 0.50), (x, y), {n: 1}]").unwrap();
        assert_eq!(
            doc.value,
            json!({"a": ["conv(6, 5)", "tanh", "mix(a(1, 2), 0.50)", "(x", "y)", {"n": 1}]})
        );
        assert_eq!((doc.lines["a.1"], doc.lines["a.2"]), (1, 2));
    }

    #[test]
    fn refusals_name_the_line() {
        for (text, line, part) in [
            ("a: 1\na: 2", 2, "written twice, first on line 1"),
            ("a: &x 1\nb: *x", 1, "anchors"),
            ("a: !t 1", 1, "tags"),
            ("a: 1\n---\nb: 2", 3, "second document"),
            ("a:\n\tb: 1", 2, "a tab"),
            ("a: [1, 2", 1, "not YAML"),
            ("a: {b: 1}\n<<: {c: 1}", 2, "merge"),
            ("? [a]\n: 1", 1, "not plain text"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.contains(part), "{text:?}: {error:?}");
            assert_eq!(error.line, line, "{text:?}: {error:?}");
        }
        let deep = "[".repeat(5000);
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn set_makes_maps_and_enters_lists() {
        let mut value = json!({"a": [{"at": 1}]});
        set(&mut value, "a.0.at=2s").unwrap();
        set(&mut value, "b.c.d={x: 1}").unwrap();
        assert_eq!(value, json!({"a": [{"at": "2s"}], "b": {"c": {"d": {"x": 1}}}}));
        for wrong in ["a", "=1", "a.7.at=1", "a.0.at.x=1", "a..b=1", "a=[1"] {
            assert!(set(&mut value, wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(?s).{0,200}", yamlish in "[a-c:\\-\\[\\]{}#&*!|>'\"%@`, \n\t0-9.?<~]{0,80}") {
            let _ = parse(&text);
            let _ = parse(&yamlish);
            let _ = set(&mut json!({"a": [1, {"b": null}]}), &yamlish);
        }
    }
}
